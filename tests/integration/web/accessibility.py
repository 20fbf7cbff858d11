"""Scripts that look for barriers in a page; each returns a list of what it found."""

from __future__ import annotations

CONTRASTS = """
const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
const light = c => [.2126, .7152, .0722].reduce((sum, share, i) => sum + share * linear(c[i] / 255), 0);
const numbers = text => (text.match(/[\\d.]+/g) ?? []).map(Number);
const ground = e => {
  for (; e; e = e.parentElement) {
    const colour = numbers(getComputedStyle(e).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const poor = [];
for (const e of document.querySelectorAll('body *')) {
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  if (!own || !e.checkVisibility() || e.closest('svg, :disabled, .hidden, .skip')) continue;
  const [a, b] = [light(numbers(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
  const contrast = (a + .05) / (b + .05);
  if (!(contrast >= 4.5)) poor.push(`${e.tagName}.${e.className}: ${contrast} ${e.textContent.slice(0, 30)}`);
}
return poor;
"""
"""Lists texts whose contrast to their background is below 4.5 (WCAG 2, 1.4.3)."""

UNNAMED = """
const kinds = 'button, a[href], input, textarea, dialog, nav, summary, [tabindex="0"]:not(pre), svg[role]';
const name = e => e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.textContent.trim()
  || [...(e.labels ?? [])].map(l => l.textContent.trim()).join('');
return [...document.querySelectorAll(kinds)]
  .filter(e => !name(e)).map(e => e.outerHTML.slice(0, 80));
"""
"""Lists controls and regions without a name for screen readers."""
