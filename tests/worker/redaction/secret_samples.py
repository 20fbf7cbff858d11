"""Made-up secrets of every kind, joined from parts so that no secret scanner reports this repository."""

from __future__ import annotations

MIXED = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7" * 8
"""Letters of both cases and digits, enough for every kind."""
HEX = "0123456789abcdef" * 8
CAPITALS = "A1B2C3D4E5F6G7H8J9"
DASHES = "-" * 5


def key_block(label: str) -> str:
    return f"{DASHES}BEGIN {label}{DASHES}\nMIIEpAIBAAKC\nAQEA\n{DASHES}END {label}{DASHES}"


SAMPLES = [
    ("openai_api_key", "sk-" + MIXED[:20]),
    ("openai_api_key", "sk-" + "a" * 20),
    ("openai_api_key", "sk-" + "proj-" + MIXED[:40] + "_-x"),
    ("openai_api_key", "sk-" + "svcacct-" + MIXED[:40]),
    ("anthropic_api_key", "sk-" + "ant-api03-" + MIXED[:95]),
    ("anthropic_oauth_token", "sk-" + "ant-oat01-" + MIXED[:50]),
    ("openrouter_api_key", "sk-" + "or-v1-" + HEX[:64]),
    ("aws_access_key", "AK" + "IA" + CAPITALS[:16]),
    ("github_token", "gh" + "p_" + MIXED[:36]),
    ("github_token", "gh" + "o_" + MIXED[:40]),
    ("github_token", "gh" + "u_" + MIXED[:36]),
    ("github_token", "gh" + "s_" + MIXED[:36]),
    ("github_token", "gh" + "r_" + MIXED[:76]),
    ("github_fine_grained_pat", "github" + "_pat_" + MIXED[:22] + "_" + MIXED[:59]),
    ("stripe_api_key", "sk" + "_live_" + MIXED[:24]),
    ("stripe_api_key", "sk" + "_test_" + MIXED[:30]),
    ("nearai_session", "sess" + "_" + MIXED[:32]),
    ("google_api_key", "AI" + "za" + MIXED[:35]),
    ("slack_token", "xo" + "xb-" + "1234567890-" + MIXED[:12]),
    ("slack_token", "xo" + "xs-" + MIXED[:10]),
    ("twilio_api_key", "S" + "K" + HEX[:32]),
    ("sendgrid_api_key", "S" + "G." + MIXED[:22] + "." + MIXED[:43]),
    ("bearer_token", "Bea" + "rer " + MIXED[:20]),
    ("bearer_token", "Bea" + "rer \t" + MIXED[:10] + "." + MIXED[:10]),
    ("auth_header", "Author" + "ization: Token " + MIXED[:20]),
    ("auth_header", "AUTHOR" + "IZATION:Basic " + MIXED[:20]),
    ("auth_header", "author" + "ization: Bearer " + MIXED[:30]),
    ("telegram_bot_token", "12345678" + ":A" + "A" + MIXED[:30]),
    ("telegram_bot_token", "123456789012" + ":A" + "A" + MIXED[:33]),
    ("groq_api_key", "gs" + "k_" + MIXED[:30]),
    ("json_web_token", "ey" + "JhbGciOiJIUzI1NiJ9.ey" + "JzdWIiOiIxIn0.abc-_9"),
    *(
        ("pem_private_key", key_block(label + "PRIVATE KEY"))
        for label in ("", "RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ")
    ),
    ("pgp_private_key", key_block("PGP PRIVATE KEY BLOCK")),
]

NEAR_MISSES = [
    "sk-" + MIXED[:19],
    "risk-" + "assessment-of-the-new-disk",
    "task-" + "runner-with-2-workers-and-more",
    "sk" + "ant-api03-" + MIXED[:95],
    "AK" + "IA" + CAPITALS[:15],
    "ak" + "ia" + CAPITALS[:16].lower(),
    "gh" + "p_" + MIXED[:35],
    "gh" + "x_" + MIXED[:36],
    "github" + "_pat_" + MIXED[:22] + "_" + MIXED[:58],
    "github" + "_pat_" + MIXED[:21] + "_" + MIXED[:59],
    "sk" + "_live_" + MIXED[:23],
    "sk" + "_prod_" + MIXED[:24],
    "sess" + "_" + MIXED[:31],
    "AI" + "za" + MIXED[:34],
    "xo" + "xb-" + MIXED[:9],
    "xo" + "xz-" + MIXED[:12],
    "S" + "K" + HEX[:31],
    "S" + "G." + MIXED[:22] + "." + MIXED[:42],
    "S" + "G." + MIXED[:21] + "." + MIXED[:43],
    "Bea" + "rer " + MIXED[:19],
    "Bea" + "rer" + MIXED[:20],
    "Author" + "ization: " + MIXED[:40],
    "Author" + "ization: Basic " + MIXED[:19],
    "1234567" + ":A" + "A" + MIXED[:30],
    "12345678" + ":A" + "A" + MIXED[:29],
    "12345678" + ":A" + "B" + MIXED[:30],
    "gs" + "k_" + MIXED[:29],
    "ey" + "JhbGciOiJIUzI1NiJ9.abc.def",
    "ey" + "JhbGciOiJIUzI1NiJ9.ey" + "JzdWIiOiIxIn0",
    key_block("PUBLIC KEY"),
    key_block("CERTIFICATE"),
    key_block("PGP PUBLIC KEY BLOCK"),
    "The header Authorization: carries a scheme, such as Bearer, and a token.",
]
