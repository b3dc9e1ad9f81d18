"""Which values are secrets, by their names and by how they look. They are copied into no file. Pure."""

from __future__ import annotations

import re

from launcher.masking import MASK

# As in doctoring/privacy.py; what `doctor` hides for nothing costs nobody a job, so here `TOKENIZER` is out.
_NAME = re.compile(
    r"TOKEN(?!I[ZS])|SECRET|PASSW|CREDENTIAL|AUTH(?!OR)|COOKIE|(?:\A|_)KEY(?:\Z|_|S)", re.IGNORECASE
)
_TOKEN = re.compile(
    r"\b(?:hf_|gh[pousr]_|github_pat_|glpat-|sk-|AKIA|ASIA|AIza|ya29\.|xox[abprs]-)[A-Za-z0-9_.-]{8,}"
    r"|\b[0-9a-f]{40}\b|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]+|(?<=://)[^/\s@]+@"
)
_SWITCH = re.compile(r"(?:true|false|yes|no|on|off|none|[01])?", re.IGNORECASE)
_COUNT = re.compile(r"[0-9]{1,8}")  # `MAX_TOKENS=4096`
_PAIR = re.compile(r"(\w+)=(?!\w+=)([^\s,\"']+|\"[^\"]*\"|'[^']*')")


def is_secret(name: str, value: str) -> bool:
    """Whether the value may be a password or a token: `HF_TOKEN`, or `hf_…` under any name."""
    if _TOKEN.search(value):
        return True
    found = _NAME.search(name.replace("-", "_"))
    if found is None or _SWITCH.fullmatch(value.strip("\"'")):
        return False
    return not ("TOKEN" in name.upper() and _COUNT.fullmatch(value))


def holds_secret(script: str) -> bool:
    """Does a script give such a value itself? `TOKEN=$OTHER` takes it from elsewhere."""
    given = ((name, value.strip("\"'")) for name, value in _PAIR.findall(script))
    return _TOKEN.search(script) is not None or any(
        is_secret(name, value) for name, value in given if not value.startswith("$")
    )


def without_secrets(text: str) -> str:
    """The text for a comment or a screen: values that may be secrets are masked."""

    def masked(match: re.Match[str]) -> str:
        return f"{match.group(1)}={MASK}" if is_secret(match.group(1), match.group(2)) else match.group()

    return _TOKEN.sub(MASK, _PAIR.sub(masked, text))
