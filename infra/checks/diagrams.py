"""Renders the Mermaid diagrams of infra/README.md into docs/. Needs node, npm and Chromium (`CORDON_CHROMIUM` names another).

    python diagrams.py

The pictures carry the hash of the text that they were made from; check.py compares it.
"""

import hashlib
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MERMAID = "@mermaid-js/mermaid-cli@11"

# In the order of the text.
NAMES = ("topology", "events")


def sources(text):
    """Name to Mermaid text."""
    return dict(zip(NAMES, re.findall(r"^```mermaid\n(.*?)^```$", text, re.M | re.S), strict=True))


def mark(source):
    """What a picture of this text says of itself."""
    return f"<!-- made from infra/README.md by infra/checks/diagrams.py, sha256 {hashlib.sha256(source.encode()).hexdigest()} -->"


def main():
    """Installs the renderer below target/, renders, marks."""
    tools = ROOT / "target/verify/mermaid"
    tools.mkdir(parents=True, exist_ok=True)
    program = tools / "node_modules/.bin/mmdc"
    if not program.exists():
        environment = {**os.environ, "PUPPETEER_SKIP_DOWNLOAD": "1"}
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", tools, MERMAID], check=True, env=environment)
    with tempfile.TemporaryDirectory() as folder:
        browser = Path(folder) / "browser.json"
        chromium = os.environ.get("CORDON_CHROMIUM", "/usr/bin/chromium")
        browser.write_text(json.dumps({"executablePath": chromium, "args": ["--no-sandbox", "--disable-gpu"]}))
        for name, source in sources((ROOT / "infra/README.md").read_text()).items():
            text, picture = Path(folder) / f"{name}.mmd", ROOT / f"docs/{name}.svg"
            text.write_text(source)
            subprocess.run([program, "-q", "-p", browser, "-b", "white", "-I", name, "-i", text, "-o", picture], check=True)
            picture.write_text(picture.read_text().rstrip("\n") + "\n" + mark(source) + "\n")
            print(f"docs/{name}.svg written")


if __name__ == "__main__":
    main()
