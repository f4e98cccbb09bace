"""What is said where too few trajectories can be chosen among."""


def no_quorum(found: int, read: int, *, what: str, chooser: str, quorum: int) -> str:
    """Return the warning.

    Args:
        found: Trajectories that can be chosen among.
        read: Trajectories that came.
        what: What the others lack: "an answer".
        chooser: Who chooses: "vote".
        quorum: Fewest that it takes.
    """
    if found == 0:
        return f"none of {read} trajectories has {what}"
    return f"{found} of {read} trajectories have {what}; the {chooser} needs {quorum}"
