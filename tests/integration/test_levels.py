from tests.world import World


def test_first(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    assert world.total() == 7
    assert world.pairs() == [("A", 3, 3, 0)]
    world.assert_p1()
