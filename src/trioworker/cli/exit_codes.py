"""The exit codes, as the help lists them."""

EXIT_CODES = """\
exit codes:
  0  the job succeeded
  1  the job failed, and was reported
  2  bad usage or configuration
  3  the orchestrator refuses or can't be reached, or the job was suspended
  4  stopped by a signal, and reported
  5  the end of the job could not be reported
  6  a replayed job differs from the recorded one
  7  the worker died repeatedly, and the job can be resumed
"""

JOBS_EXIT_CODES = """\
exit codes of jobs:
  0  the jobs were listed
  2  bad usage, or no such job
"""

HEALTH_EXIT_CODES = """\
exit codes of health:
  0  the worker answers, and made progress within --max-idle
  1  the worker does not answer, or made no progress
  2  bad usage or configuration
"""

TREE_EXIT_CODES = """\
exit codes of tree:
  0  the worker answers
  1  the worker does not answer
  2  bad usage or configuration
"""

FLEET_EXIT_CODES = """\
exit codes of fleet:
  0  all tasks or jobs succeeded
  1  some did not; see the results
  2  bad usage or configuration, or the cluster refused the fleet
  4  some are unfinished: the same command continues
"""
