"""Shuts this process in, and makes it the first one of a sandbox.

Run by the bare interpreter (`python -I -S`), so that it imports nothing of ours but this folder.
"""

import json
import os
import signal
import sys

from tts.verifiers._sandbox.inside import kernel
from tts.verifiers._sandbox.inside.namespaces import build_root, enter
from tts.verifiers._sandbox.inside.options import Options
from tts.verifiers._sandbox.inside.processes import Tree
from tts.verifiers._sandbox.inside.supervisor import Supervisor


def main() -> None:
    """Do what the JSON in the first argument says; see `Options`."""
    options = Options(**json.loads(sys.argv[1]))
    by = signal.SIGKILL if options.has_namespaces else signal.SIGTERM
    if options.parent:
        kernel.end_with_parent(options.parent, by)
    can_change = kernel.may_change_user() and _can_read(os.__file__)
    if not options.has_namespaces and not can_change:
        options = options._replace(uid=0)  # the new user could not run Python here
    tree = _shut_in(options)
    if options.uid:
        kernel.become(options.uid)
    kernel.drop_capabilities(os.uname().machine)
    kernel.hide_memory()
    kernel.adopt_orphans()
    kernel.end_with_parent(0, by)  # which changing the user has undone
    Supervisor(options, tree).serve()


def _shut_in(options: Options) -> Tree:
    """Go where programs may do no harm; return what sees the processes from there."""
    uid = options.uid or os.getuid()
    if options.mode in ("root", "user"):
        users = {0: 0, uid: uid} if options.uid else {uid: uid}
        enter(users=users if options.mode == "user" else None)
        _fork_first()
        tree = Tree()
        build_root(options.folders, size=options.disk_bytes, owner=uid)
        return tree
    if options.uid:
        os.chown(".", options.uid, options.uid)
    return Tree()


def _fork_first() -> None:
    """Go on as the first process of the namespace; what started it only waits."""
    first = os.fork()
    if first == 0:
        return
    signal.signal(signal.SIGTERM, lambda *_: os.kill(first, signal.SIGKILL))
    os.close(0)
    os.close(1)
    _, status = os.waitpid(first, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _can_read(path: str) -> bool:
    """Return whether a user without rights can read the folder of a file."""
    folder = os.path.dirname(os.path.realpath(path))
    while os.stat(folder).st_mode & 0o005 == 0o005:
        if folder == os.path.dirname(folder):
            return True
        folder = os.path.dirname(folder)
    return False
