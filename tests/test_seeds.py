"""Seeds depend on a sample's place in the run and on nothing else."""

from tts.seeds import derive_seed


def test_every_part_of_the_place_matters() -> None:
    seeds = {
        derive_seed(0, "p", "sample"),
        derive_seed(1, "p", "sample"),
        derive_seed(0, "q", "sample"),
        derive_seed(0, "p", "draft"),
        derive_seed(0, "p", "sample", "draft:1"),
    }
    assert len(seeds) == 5


def test_seeds_are_the_same_in_every_process_and_leave_room_for_the_index() -> None:
    assert derive_seed(0, "p", "sample") == derive_seed(0, "p", "sample")
    assert derive_seed(0, "p", "sample") == 271260030499902
    assert all(0 <= derive_seed(s, "p", "n") < 2**48 for s in range(100))
