"""The page "Install on a server": its commands, run as root in namespaces where nothing of this machine is changed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests import systemd_stand_in
from tests.docs.snippets import snippets
from tests.packages import build, copy_project
from tests.paths import ROOT
from tests.unprivileged import revealing

PAGE = ROOT / "docs/how-to/install-on-a-server.md"
#: Processes and network of the page. All processes end with the first one.
NAMESPACES = (
    "unshare",
    "--mount",
    "--pid",
    "--net",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--propagation",
    "private",
)
#: Directories that the page writes to are in memory, with what the test needs: the wheel, the interpreter of this test
#: (which finds the dependencies in an environment that it makes), and the stand-in for systemd.
PREPARATION = """
set -eu
ip link set lo up
mount -t tmpfs none /mnt
cp -a /etc /mnt/etc
mount --bind /mnt/etc /etc
echo 192.0.2.1 track.example.com >> /etc/hosts
mkdir /mnt/dist /mnt/packages
cp "$WHEEL" /mnt/dist
ln -s "$PACKAGES"/* /mnt/packages
rm /mnt/packages/*feedback_loops*
for folder in /opt /usr/local/bin /var/lib /var/backups /tmp; do mount -t tmpfs -o mode=1755 none "$folder"; done
chmod 1777 /tmp
mkdir -p /etc/systemd/system
cat > /usr/local/bin/python3 <<END
#!/bin/sh
"$PYTHON" "\\$@" || exit
if [ "\\$1 \\$2" = "-m venv" ]; then
  for site in "\\$3"/lib/python*/site-packages; do echo /mnt/packages > "\\$site/dependencies.pth"; done
fi
END
cat > /usr/local/bin/systemctl <<END
#!/bin/sh
exec "$PYTHON" -I -S "$STAND_IN" systemctl /mnt/manager "\\$@"
END
chmod +x /usr/local/bin/*
"$PYTHON" -I -S "$STAND_IN" manager /mnt/manager &
while [ ! -S /mnt/manager ]; do sleep 0.05; done
set -x
"""
#: What the unit's process may do, after the page's commands.
INSPECTION = """
curl -fsS --retry 60 --retry-delay 1 http://127.0.0.1:8080/readyz
grep -E '^(Uid|NoNewPrivs|CapEff|CapBnd|Seccomp):' "/proc/$(pgrep -o -u feedback-loops)/status"
id -u feedback-loops
stat -c '%U %a %n' /var/lib/feedback-loops /var/backups/feedback-loops/first
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and mounts need root")
@pytest.mark.timeout(400)
def test_the_pages_commands_install_a_service(tmp_path: Path) -> None:
    """From the wheel to a hardened service that was restarted, with a backup, as the page says."""
    for program in ("systemd-analyze", "useradd", "runuser", "curl", "ip"):
        if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            pytest.skip(f"{program} is not installed")
    blocks = [
        each.text
        for each in snippets(PAGE)
        if (each.verb, each.rest) == ("tested by", f"tests/e2e/{Path(__file__).name}")
    ]
    assert len(blocks) == 5
    prefix = Path(sys.base_prefix)
    packages = sysconfig.get_path("purelib")
    environment = {
        "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": "/mnt",
        "WHEEL": str(build("wheel", copy_project(tmp_path / "source"), tmp_path / "dist")),
        "PYTHON": str(prefix / f"bin/python3.{sys.version_info.minor}"),
        "PACKAGES": packages,
        "STAND_IN": systemd_stand_in.__file__,
        # The page's `pip install feedback-loops`.
        "PIP_NO_INDEX": "yes",
        "PIP_NO_DEPS": "yes",
        "PIP_FIND_LINKS": "/mnt/dist",
    }
    script = PREPARATION + "\n".join(blocks) + INSPECTION
    done = subprocess.run(
        [*NAMESPACES, *revealing([prefix, Path(packages)], uid=None), "bash", "-c", script],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "stopped with exit code 0" in done.stdout
    (user,) = re.findall(r"^(\d+)$", done.stdout, re.MULTILINE)
    status = dict(re.findall(r"^(\w+):\t(\S+)", done.stdout, re.MULTILINE))
    assert status == {"Uid": user, "NoNewPrivs": "1", "CapEff": "0" * 16, "CapBnd": "0" * 16, "Seccomp": "2"}
    assert "\nfeedback-loops 700 /var/lib/feedback-loops\n" in done.stdout
    assert "\nfeedback-loops 700 /var/backups/feedback-loops/first\n" in done.stdout
