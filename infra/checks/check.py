"""Checks of infra/ that need no subscription. `cargo xtask verify` makes the environment and runs this.

    python check.py                      parse, types, consistency
    python check.py --checkov PROGRAM    the same, and policy
    python check.py --self-test [--checkov PROGRAM]
                                         seeds one fault of each class into a copy; each must be found

No Bicep compiler is at hand: that these pass is no proof that the templates compile or deploy.
Exit code 0: nothing found; 1: something found.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from consistency import CHECKS
from tree import Infra
from types_check import coverage, types

ROOT = Path(__file__).resolve().parents[2]

# It takes half a minute; on a machine that builds at the same time, ten.
CHECKOV_SECONDS = 1_800


def report(root, checkov=None):
    """Every check with its findings; prints, and returns how many there are."""
    infra, total = Infra(root), 0
    total += said("parse", infra.broken, f"{len(infra.files)} files")
    if infra.broken:
        return total
    checked, of, absent = coverage(infra)
    total += said("types", list(types(infra)), f"{checked} of {of} resources; no definitions at hand for {', '.join(absent)}")
    for check in CHECKS:
        total += said(check.__name__, list(check(infra)), check.__doc__.split(".")[0])
    if checkov:
        total += said("policy", policy(root, checkov), "checkov, with the reasons in policy-skips.json")
    else:
        print("policy: not run (no --checkov)")
    return total


def said(name, findings, note):
    """Prints one check's result."""
    print(f"{name}: {'ok' if not findings else f'{len(findings)} found'} ({note})")
    for finding in findings:
        print(f"  {finding}")
    return len(findings)


def policy(root, checkov):
    """Findings of checkov that no reason excuses, and reasons that excuse nothing."""
    skips = json.loads((Path(root) / "infra/checks/policy-skips.json").read_text())
    command = [checkov, "-d", str(Path(root) / "infra"), "--framework", "bicep", "--compact", "--quiet", "--skip-download", "-o", "json"]
    environment = {**os.environ, "BC_SKIP_MAPPING": "TRUE", "LOG_LEVEL": "ERROR"}
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=CHECKOV_SECONDS, check=False, env=environment)
    except subprocess.TimeoutExpired:
        return [f"checkov did not end within {CHECKOV_SECONDS} s: is the machine busy?"]
    try:
        answer = json.loads(ran.stdout)
    except ValueError:
        return [f"checkov gave no report: {ran.stderr.strip()[-200:]}"]
    answer = answer[0] if isinstance(answer, list) else answer
    failed, used = answer["results"]["failed_checks"], set()
    findings = [f"checkov cannot read {file}" for file in answer["results"].get("parsing_errors", [])]
    for one in failed:
        used.add(one["check_id"])
        if one["check_id"] not in skips:
            findings.append(f"{one['check_id']} {one['file_path']}: {one['check_name']}")
    if answer["summary"]["passed"] == 0:
        findings.append("checkov passed nothing: it has not looked")
    return findings + [f"{skip} is excused and does not fail any more: take the reason out" for skip in sorted(set(skips) - used)]


def main(arguments):
    """Runs what was asked for."""
    self_test = "--self-test" in arguments
    rest = [argument for argument in arguments if argument != "--self-test"]
    checkov = rest[1] if len(rest) == 2 and rest[0] == "--checkov" else None
    if rest and not checkov:
        sys.exit(__doc__)
    if self_test:
        import selftest

        return selftest.run(ROOT, checkov)
    total = report(ROOT, checkov)
    print(f"\n{total} findings" if total else "\nnothing found; not compiled: no Bicep compiler is at hand")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
