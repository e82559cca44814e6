"""Quota alerts over what happens to a quota within its month: matrix row 34. Figures worked out by hand."""

from decimal import Decimal

CATALOGUE = """
defaults = {{ effective_from = "2025-01-01"; thresholds = [ 80, 100 ]; }};
units = ( {{ code = "EUR"; }} );
metrics = ( {{ name = "calls"; aggregation = "sum"; }} );
plans = ( {{ name = "ten"; unit = "EUR"; kind = "postpaid";
             quotas = ( {{ metric = "calls"; included = "10"; thresholds = {thresholds}; }} ); }} );
"""


def raised(world):
    return [(a["data"]["threshold"], a["data"]["used"], a["data"]["percent"], a["data"]["event_id"])
            for a in world.alerts("usage.threshold.reached")]


def test_a_threshold_that_is_added_within_the_month_is_raised_by_the_entries_that_cross_it(world):
    def use(id, quantity):
        world.usage("acme", "calls", id=id, quantity=quantity)
        world.wait_booked()

    world.catalog(CATALOGUE.format(thresholds="[ 80, 100 ]"))
    world.start()
    world.account("account.opened", "acme", plan="ten")
    world.wait_booked()
    use("to-6", 6)
    assert raised(world) == []
    world.catalog(CATALOGUE.format(thresholds="[ 50, 70, 100 ]"))
    # 6 -> 6.5: 50 was behind already when it was added, so no entry crosses it; 80 is no threshold any more
    use("to-6.5", Decimal("0.5"))
    assert raised(world) == []
    use("to-9", Decimal("2.5"))
    assert raised(world) == [(70, "9", "90", "to-9")]
    # back to 6.5 and over 70 again: another entry crosses it, so it is told again; then from 9.5 over 100
    world.void("acme", "to-9", id="back")
    world.wait_booked()
    use("to-9.5", 3)
    use("to-12", Decimal("2.5"))
    assert raised(world) == [(70, "9", "90", "to-9"), (70, "9.5", "95", "to-9.5"), (100, "12", "120", "to-12")]
    world.verify()
