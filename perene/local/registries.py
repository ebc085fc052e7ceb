"""Where this machine's package clients fetch from, asked from the clients themselves: nothing here knows an address."""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from perene.errors import PereneError
from perene.exit_codes import ExitCode

# Each prints addresses or host names: the Debian archive, Go modules and their checksums, Python packages.
QUESTIONS: tuple[tuple[str, ...], ...] = (
    ("apt-get", "indextargets", "--format", "$(SITE)"),
    ("go", "env", "GOPROXY", "GOSUMDB"),
    (str(Path(sys.executable).with_name("go")), "env", "GOPROXY", "GOSUMDB"),
    (sys.executable, "-m", "pip", "config", "get", "global.index-url"),
    (sys.executable, "-c", "from pip._internal.models.index import PyPI; print(PyPI.netloc, PyPI.file_storage_domain)"),
)
_HOST = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,}")


def hosts() -> set[str]:
    """Host names of the package registries, as far as the clients are there to be asked."""
    words = [word for question in QUESTIONS for word in re.split(r"[\s,|]+", _ask(question))]
    return {host for word in words if _HOST.fullmatch(host := urlsplit(word).hostname or word)}


def debian_mirrors() -> tuple[str, str]:
    """Addresses of the Debian archive and of its security archive: said by the environment, or what apt uses here."""
    said = os.environ.get("PERENE_DEBIAN_MIRROR"), os.environ.get("PERENE_DEBIAN_SECURITY_MIRROR")
    sites = [] if all(said) else list(dict.fromkeys(_ask(QUESTIONS[0]).split()))
    security = next((site for site in sites if "security" in site), None)
    main = said[0] or next((site for site in sites if site != security), None)
    if main is None:
        raise PereneError(
            "no Debian archive is known",
            where="apt-get indextargets",
            why="images are built from Debian's packages",
            fix="run `apt-get update`, or set PERENE_DEBIAN_MIRROR and PERENE_DEBIAN_SECURITY_MIRROR",
            exit_code=ExitCode.CANNOT_TELL,
        )
    return main, said[1] or security or main


def _ask(question: tuple[str, ...]) -> str:
    try:
        return subprocess.run(question, capture_output=True, text=True, check=False, timeout=30).stdout
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
