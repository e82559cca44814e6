"""debitctl verify finds every kind of damage, names it, and finds nothing where there is none."""

import pytest

from tests.integration.ctl_stream import ENTRY, book, damaging
from tests.rig.daemon import TOP, debitctl, write_config
from tests.rig.standby import Standby
from tests.rig.wait import wait_until
from tests.rig.world import World


@pytest.fixture(scope="module")
def booked(kafka, postgres, migrated, seed):
    world = World(kafka, postgres, seed, "ctl_verify", partitions=2, template=migrated)
    try:
        book(world)
        world.debitctl("credit", "purchase", "solo", "20")  # recovers the balance
        world.sql("UPDATE debitd.catalogue SET applied_at = applied_at - interval '1 hour'")  # surely known to every booking
        assert world.verify().out.endswith(" checks, 0 differences\n")
        world.disconnect()
        yield world
    finally:
        world.close()


@pytest.fixture(scope="module")
def damaged(booked, tmp_path_factory):
    with damaging(booked, tmp_path_factory.mktemp("verify") / "copy.conf") as damage:
        yield damage


CHAT_1, CHAT_3, SIGN_4 = ENTRY.format("chat-1"), ENTRY.format("chat-3"), ENTRY.format("sign-4")
SOLO = "(SELECT a.account_id FROM debitd.account a WHERE a.name = 'solo')"
COLUMNS = ("account_id, payer_id, type, occurred_at, booked_at, counted_on, source_id, event_id, service_id, model_id, metric_id, quantity,"
           " component_ids, component_quantities, component_costs, component_charges, component_prices, currency_id, cost, amount, unit_id,"
           " balance_after, plan_id, charge_kind, price_source, late, corrects, metadata")

DAMAGE = [
    # what was done to the books, and the checks that must find it
    (f"UPDATE debitd.payer SET spent = spent + 0.000000000001 WHERE payer_id = {SOLO}", {"balances"}),
    (f"UPDATE debitd.payer SET purchased = purchased + 1, refunded = refunded - 1 WHERE payer_id = {SOLO}", {"balances"}),
    (f"UPDATE debitd.payer SET balance = balance + 1 WHERE payer_id = {SOLO}", {"balances", "chain"}),
    (f"UPDATE debitd.payer SET has_charge = false WHERE payer_id = {SOLO}", {"balances"}),
    (f"UPDATE debitd.ledger SET balance_after = balance_after + 0.000000000001 WHERE entry_id = {CHAT_1}", {"chain"}),
    (f"UPDATE debitd.ledger SET balance_after = balance_after + 1 WHERE payer_id = {SOLO}", {"chain"}),
    (f"UPDATE debitd.ledger SET amount = amount - 1, balance_after = balance_after - 1 WHERE entry_id = {CHAT_1}",
     {"balances", "chain", "usage", "components"}),
    (f"DELETE FROM debitd.ledger WHERE entry_id = {CHAT_1}", {"balances", "chain", "usage", "usage_daily", "identities"}),
    (f"DELETE FROM debitd.ledger WHERE entry_id = {ENTRY.format('byok-1')}", {"usage", "usage_daily", "identities"}),
    ("UPDATE debitd.usage SET used = used + 0.000001 WHERE period = 'm'", {"usage"}),
    ("UPDATE debitd.usage SET events = events + 1 WHERE period = 'm'", {"usage"}),
    ("UPDATE debitd.usage SET cost = cost + 1 WHERE period = 'm'", {"usage"}),
    ("UPDATE debitd.usage SET charge = charge - 1 WHERE period = 'm'", {"usage"}),
    ("UPDATE debitd.usage SET overage_charge = overage_charge + 0.01 WHERE period = 'm'", {"usage"}),
    ("UPDATE debitd.usage SET used = used - 1 WHERE period = 'd'", {"usage"}),
    ("DELETE FROM debitd.usage WHERE period = 'd'", {"usage"}),
    ("INSERT INTO debitd.usage SELECT payer_id, metric_id, period, period_start - 31, events, used, currency_id, cost, charge, overage_charge"
     " FROM debitd.usage", {"usage"}),
    (f"UPDATE debitd.usage_daily SET charge = charge + 0.000000000001 WHERE account_id = {SOLO}", {"usage_daily"}),
    ("UPDATE debitd.usage_daily SET events = events - 1", {"usage_daily"}),
    ("DELETE FROM debitd.usage_daily", {"usage_daily"}),
    ("UPDATE debitd.usage_daily SET component_id = component_id + 1000", {"usage_daily"}),
    ("UPDATE debitd.batch SET folded = false", {"usage_daily"}),
    ("DELETE FROM debitd.batch", {"batches"}),
    ("INSERT INTO debitd.batch (entry_lo, entry_hi, booked_at, folded) SELECT entry_lo, entry_hi, booked_at, true FROM debitd.batch", {"batches"}),
    ("UPDATE debitd.batch SET entry_hi = entry_lo - 1", {"batches"}),
    ("UPDATE debitd.position SET parked = parked + 1", {"positions"}),
    ("UPDATE debitd.position SET rejected = rejected - 1", {"positions"}),
    ("UPDATE debitd.position SET booked = 0", {"positions"}),
    ("UPDATE debitd.position SET booked = booked + 100, next_offset = next_offset + 100", {"positions"}),
    ("UPDATE debitd.position SET next_offset = 1", {"positions"}),
    ("DELETE FROM debitd.position", {"positions"}),
    ("DELETE FROM debitd.rejected WHERE reason = 'bad_quantity'", {"positions"}),
    (f"DELETE FROM debitd.event_key WHERE entry_id = {CHAT_1}", {"identities"}),
    (f"UPDATE debitd.event_key SET entry_id = NULL WHERE entry_id = {CHAT_1}", {"identities"}),
    (f"UPDATE debitd.event_key SET entry_id = {CHAT_3} WHERE entry_id = {CHAT_1}", {"identities"}),
    ("INSERT INTO debitd.event_key SELECT (month + interval '1 month')::date, key, digest, entry_id FROM debitd.event_key", {"identities"}),
    ("DELETE FROM debitd.event_key k USING debitd.ledger l WHERE k.entry_id = l.entry_id AND l.type = 'purchase'", {"identities"}),
    (f"UPDATE debitd.ledger SET event_id = 'another' WHERE entry_id = {CHAT_1}", {"identities"}),
    (f"INSERT INTO debitd.ledger (entry_id, {COLUMNS}) SELECT entry_id + 500000, {COLUMNS} FROM debitd.ledger WHERE entry_id = {CHAT_1}",
     {"twice", "balances", "chain", "usage", "usage_daily", "batches", "identities"}),
    (f"UPDATE debitd.ledger SET component_quantities[1] = component_quantities[1] + 1 WHERE entry_id = {CHAT_1}", {"components", "usage_daily"}),
    (f"UPDATE debitd.ledger SET component_costs[1] = component_costs[1] + 1 WHERE entry_id = {CHAT_1}", {"components", "usage_daily"}),
    (f"UPDATE debitd.ledger SET component_charges[1] = component_charges[1] + 1 WHERE entry_id = {CHAT_1}", {"components", "usage_daily"}),
    (f"UPDATE debitd.ledger SET component_ids[2] = component_ids[1] WHERE entry_id = {CHAT_1}", {"components", "usage_daily"}),
    (f"UPDATE debitd.ledger SET cost = cost + 0.01 WHERE entry_id = {CHAT_1}", {"components", "usage"}),
    ("UPDATE debitd.ledger SET corrects = corrects + 1 WHERE type = 'void'", {"voids"}),
    ("UPDATE debitd.ledger SET quantity = quantity - 1 WHERE type = 'void'", {"voids", "components", "usage"}),
    ("DELETE FROM debitd.voided", {"voids"}),
    (f"INSERT INTO debitd.voided SELECT k.key, k.key FROM debitd.event_key k WHERE k.entry_id = {CHAT_1}", {"voids"}),
    (f"UPDATE debitd.ledger SET cost = 'NaN' WHERE entry_id = {CHAT_1}", {"bounds", "components", "usage"}),
    (f"UPDATE debitd.ledger SET balance_after = 1e18 WHERE entry_id = {CHAT_1}", {"bounds", "chain"}),
    (f"UPDATE debitd.ledger SET quantity = quantity + 0.0000001 WHERE entry_id = {CHAT_1}", {"bounds", "components", "usage"}),
    ("UPDATE debitd.payer SET balance = 'Infinity'", {"bounds", "balances", "chain"}),
    ("UPDATE debitd.alert SET published_at = NULL", {"outbox"}),
    ("UPDATE debitd.alert SET state = 0", {"outbox"}),
    ("UPDATE debitd.alert SET state = 1, published_at = NULL, relay_epoch = NULL", {"outbox"}),
    ("UPDATE debitd.alert SET state = 3", {"outbox"}),
    ("UPDATE debitd.alert SET event = jsonb_set(event, '{subject}', '\"somebody\"')", {"outbox"}),
    ("UPDATE debitd.alert SET entry_id = entry_id + 700000 WHERE type = 'balance.exhausted'", {"outbox"}),
    ("UPDATE debitd.rejected SET published_at = NULL", {"outbox"}),
    ("UPDATE debitd.relay SET epoch = 0", {"outbox"}),
    ("DELETE FROM debitd.event_key k USING debitd.parked p WHERE p.event_key = k.key AND p.released_at IS NULL", {"parked"}),
    ("UPDATE debitd.parked SET entry_id = entry_id + 1 WHERE topic_kind = 'usage'", {"parked", "identities"}),
    ("UPDATE debitd.parked SET outcome = NULL WHERE outcome = 'voided'", {"parked"}),
    ("DELETE FROM debitd.parked WHERE released_at IS NULL", {"positions"}),
    (f"UPDATE debitd.account SET payer_id = {SOLO} WHERE name = 'firm'", {"accounts"}),
    ("UPDATE debitd.payer SET plan_name_id = NULL", {"accounts"}),
    (f"UPDATE debitd.ledger SET account_id = 99999 WHERE entry_id = {CHAT_1}", {"accounts", "usage_daily"}),
    (f"UPDATE debitd.ledger SET metric_id = 99999 WHERE entry_id = {CHAT_1}", {"entries", "usage"}),
    (f"UPDATE debitd.ledger SET counted_on = counted_on - 1 WHERE entry_id = {CHAT_1}", {"entries", "usage_daily"}),
    ("UPDATE debitd.payer SET granted_by_plans = granted_by_plans + 1 WHERE granted_month IS NOT NULL", {"accounts"}),
    ("UPDATE debitd.payer SET granted_month = NULL", {"accounts"}),
    (f"UPDATE debitd.payer SET unit_id = (SELECT n.name_id FROM debitd.name n WHERE n.name = 'EUR') WHERE payer_id = {SOLO}", {"accounts"}),
    (f"UPDATE debitd.ledger SET payer_id = (SELECT account_id FROM debitd.account WHERE name = 'firm') WHERE entry_id = {CHAT_1}", {"accounts", "chain"}),
    ("UPDATE debitd.batch SET booked_at = booked_at + interval '1 month'", {"batches"}),
    (f"UPDATE debitd.event_key SET key = gen_random_uuid() WHERE entry_id = {CHAT_1}", {"identities"}),
    ("UPDATE debitd.parked SET event_key = gen_random_uuid() WHERE event_id = 'no-price'", {"identities", "parked"}),
    ("UPDATE debitd.ledger SET counted_on = counted_on - 1 WHERE type = 'void'", {"voids"}),
    ("UPDATE debitd.ledger SET user_id = 'somebody' WHERE type = 'void'", {"voids"}),
    ("UPDATE debitd.ledger SET component_quantities[1] = component_quantities[1] * 2, quantity = quantity * 2 WHERE type = 'void'", {"voids"}),
    (f"UPDATE debitd.ledger SET corrects = {CHAT_3} WHERE entry_id = {CHAT_1}", {"voids"}),
    ("UPDATE debitd.voided SET by_key = gen_random_uuid()", {"voids"}),
    ("DELETE FROM debitd.voided v USING debitd.parked p WHERE v.key = p.event_key", {"parked"}),
    ("UPDATE debitd.parked SET outcome = 'rejected', entry_id = NULL WHERE outcome = 'voided'", {"parked"}),
    ("UPDATE debitd.parked SET reason = 'unknown_plan' WHERE released_at IS NULL", {"parked"}),
    ("UPDATE debitd.parked SET entry_id = 1 WHERE released_at IS NULL", {"parked"}),
    ("INSERT INTO debitd.parked (topic_kind, topic, partition, \"offset\", reason, detail, waits_for, catalogue_version, account, source, event_id,"
     " event_key, value, parked_at) SELECT topic_kind, topic, partition, \"offset\", reason, detail, waits_for, catalogue_version, account, source,"
     " event_id, event_key, value, parked_at FROM debitd.parked WHERE released_at IS NULL", {"parked", "positions"}),
    # prices, and what they make of quantities: all sums stay right
    (f"UPDATE debitd.ledger SET component_prices[1] = component_prices[2] WHERE entry_id = {CHAT_1}", {"costs"}),
    (f"UPDATE debitd.ledger SET component_prices[1] = 99999 WHERE entry_id = {CHAT_1}", {"costs"}),
    (f"UPDATE debitd.ledger SET component_prices[1] = NULL WHERE entry_id = {CHAT_1}", {"costs"}),
    (f"UPDATE debitd.ledger SET price_source = 'event' WHERE entry_id = {CHAT_1}", {"costs"}),
    (f"UPDATE debitd.ledger SET component_costs = ARRAY[component_costs[1] + 0.000000000001, component_costs[2] - 0.000000000001]"
     f" WHERE entry_id = {CHAT_1}", {"costs"}),
    (f"UPDATE debitd.ledger SET component_costs = ARRAY[NULL, NULL]::numeric[], component_prices = ARRAY[NULL, NULL]::integer[], cost = NULL,"
     f" price_source = NULL WHERE entry_id = {CHAT_1}", {"costs", "alerts"}),
    ("UPDATE debitd.price SET price = price + 0.01", {"costs", "charges"}),
    (f"INSERT INTO debitd.price (service_id, model_id, metric_id, component_id, currency_id, price, per, effective_from, since)"
     f" SELECT service_id, model_id, metric_id, component_id, currency_id, 9, per, '2026-01-01', since FROM debitd.price"
     f" WHERE price_id = (SELECT component_prices[1] FROM debitd.ledger WHERE entry_id = {CHAT_1})"
     f" AND (SELECT count(*) FROM debitd.catalogue) > 0", {"costs"}),
    ("UPDATE debitd.price SET effective_from = '2999-01-01'", {"costs", "charges"}),
    ("UPDATE debitd.plan SET markup = 10 WHERE tariff = 'cost_plus'", {"charges"}),
    (f"UPDATE debitd.ledger SET charge_kind = 'free' WHERE entry_id = {CHAT_1}", {"charges"}),
    (f"UPDATE debitd.ledger SET charge_kind = 'fixed' WHERE entry_id = {CHAT_1}", {"charges"}),
    (f"UPDATE debitd.ledger SET plan_id = NULL WHERE entry_id = {CHAT_1}", {"charges"}),
    (f"UPDATE debitd.ledger SET plan_id = 99999 WHERE entry_id = {CHAT_1}", {"charges", "entries"}),
    (f"UPDATE debitd.ledger SET component_charges = ARRAY[component_charges[1] + 0.000000000001, component_charges[2] - 0.000000000001]"
     f" WHERE entry_id = {CHAT_1}", {"charges"}),
    ("UPDATE debitd.ledger SET metric_id = (SELECT min(metric_id) FROM debitd.metric) WHERE type = 'purchase'", {"charges"}),
    ("UPDATE debitd.price p SET price = 2 FROM debitd.name n WHERE n.name_id = p.plan_name_id AND n.name = 'codegen-free'", {"charges"}),
    # quotas, thresholds, balances: each alert exactly once
    ("UPDATE debitd.plan_quota SET overage_price = overage_price + 0.01", {"quotas"}),
    ("UPDATE debitd.plan_quota SET included = included + 1 WHERE included IS NOT NULL", {"quotas"}),
    (f"UPDATE debitd.ledger SET amount = amount + 1, component_charges[1] = component_charges[1] - 1 WHERE entry_id = {SIGN_4}", {"quotas", "chain"}),
    ("UPDATE debitd.ledger SET amount = amount + 1 WHERE type = 'void'", {"quotas", "chain"}),
    ("DELETE FROM debitd.alert WHERE type = 'usage.threshold.reached' AND threshold = 100", {"quotas"}),
    (f"UPDATE debitd.alert SET entry_id = {SIGN_4} WHERE type = 'usage.threshold.reached'", {"quotas"}),
    ("UPDATE debitd.alert SET threshold = 90, event = jsonb_set(event, '{data,threshold}', '90') WHERE threshold = 80", {"quotas"}),
    ("UPDATE debitd.alert SET event = jsonb_set(event, '{data,used}', '\"9\"') WHERE threshold = 100", {"quotas"}),
    ("UPDATE debitd.alert SET event = jsonb_set(event, '{data,percent}', '\"99\"') WHERE threshold = 100", {"quotas"}),
    ("INSERT INTO debitd.alert (alert_id, alert_seq, type, payer_id, metric_id, period_start, threshold, entry_id, event, raised_at)"
     " SELECT gen_random_uuid(), alert_seq + 1, type, payer_id, metric_id, period_start, threshold, entry_id, event, raised_at"
     " FROM debitd.alert WHERE threshold = 100", {"quotas"}),
    ("DELETE FROM debitd.alert WHERE type = 'balance.low'", {"alerts"}),
    ("DELETE FROM debitd.alert WHERE type = 'balance.exhausted'", {"alerts"}),
    ("DELETE FROM debitd.alert WHERE type = 'balance.recovered'", {"alerts"}),
    ("DELETE FROM debitd.alert WHERE type = 'price.missing'", {"alerts"}),
    ("UPDATE debitd.alert SET event = jsonb_set(event, '{data,balance}', '\"9\"') WHERE type = 'balance.low'", {"alerts"}),
    (f"UPDATE debitd.alert SET entry_id = {CHAT_1} WHERE type = 'balance.low'", {"alerts"}),
    ("UPDATE debitd.plan SET low_balance = low_balance / 2", {"alerts"}),
    ("UPDATE debitd.alert SET event = jsonb_set(event, '{data,event_id}', '\"none\"') WHERE type = 'price.missing'", {"alerts"}),
    ("INSERT INTO debitd.alert (alert_id, alert_seq, type, payer_id, threshold, entry_id, event, raised_at)"
     " SELECT gen_random_uuid(), alert_seq + 1, type, payer_id, threshold, entry_id, event, raised_at FROM debitd.alert"
     " WHERE type = 'balance.low'", {"alerts"}),
    # what entries name
    (f"UPDATE debitd.ledger SET service_id = 99999 WHERE entry_id = {CHAT_1}", {"entries"}),
    (f"UPDATE debitd.ledger SET late = true WHERE entry_id = {CHAT_1}", {"entries"}),
    ("UPDATE debitd.ledger SET source_id = NULL, event_id = NULL WHERE type = 'purchase'", {"entries"}),
    (f"UPDATE debitd.ledger SET quantity = NULL WHERE entry_id = {CHAT_1}", {"entries"}),
]


@pytest.mark.parametrize("damage, found_by", DAMAGE, ids=[damage[0][:70] for damage in DAMAGE])
def test_verify_finds(damaged, damage, found_by):
    differences = debitctl(damaged(damage), "verify", expect=1).data
    assert found_by <= {difference["check"] for difference in differences}


def test_people_get_each_difference_on_a_line(damaged):
    lines = debitctl(damaged(f"UPDATE debitd.payer SET spent = spent + 1 WHERE payer_id = {SOLO}"),
                     "verify", expect=1, json=False).out.splitlines()
    # spent: 0.15 + 0.3 + 13.333335, and chat-3 taken back
    assert lines == ["balances: payer=solo what=balance (by its sums) recorded=20.966665 computed=19.966665",
                     "balances: payer=solo what=spent recorded=14.783335 computed=13.783335",
                     f"{len(checks())} checks, 2 differences"]


def test_only_the_checks_that_are_named_are_run(damaged):
    config = damaged(f"UPDATE debitd.payer SET balance = balance + 1 WHERE payer_id = {SOLO}")
    assert debitctl(config, "verify", "--check", "usage,twice", json=False).out == "2 checks, 0 differences\n"
    found = debitctl(config, "verify", "--check", "chain", "--jobs", "1", expect=1).data
    assert {difference["check"] for difference in found} == {"chain"}


@pytest.mark.parametrize("wrong, told", [(["--check", "chains"], "there are balances, chain,"), (["--check", ""], "names what is no check"),
                                         (["--jobs", "0"], "no number from 1 to 16"), (["--jobs", "2x"], "no number from 1 to 16")])
def test_a_check_or_a_number_of_jobs_that_there_is_not_is_wrong_use(booked, wrong, told):
    assert told in booked.debitctl("verify", *wrong, expect=64).err


def test_a_reader_may_verify(booked, postgres, tmp_path):
    config = write_config(tmp_path / "reader.conf", {"postgres": {"conninfo": postgres.conninfo(booked.name, "debitd_reader")}})
    assert debitctl(config, "verify", json=False).out == f"{len(checks())} checks, 0 differences\n"


def test_an_account_may_not_verify(booked, postgres, tmp_path):
    config = write_config(tmp_path / "account.conf", {"postgres": {"conninfo": postgres.conninfo(booked.name, "debitd_account")}})
    assert "permission denied" in debitctl(config, "verify", expect=77).err


def test_a_standby_may_be_verified(booked, postgres, tmp_path):
    standby = Standby(postgres)
    try:
        standby.start()
        conninfo = standby.conninfo(booked.name, "debitd_reader") + " target_session_attrs=any"
        config = write_config(tmp_path / "standby.conf", {"postgres": {"conninfo": conninfo}})
        assert debitctl(config, "verify", json=False).out == f"{len(checks())} checks, 0 differences\n"
    finally:
        standby.close()
        wait_until(lambda: postgres.sql("SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s AND active", [standby.name]) == [(0,)],
                   30, "the standby to be gone")
        postgres.sql("SELECT pg_drop_replication_slot(%s)", [standby.name])


def checks():
    return {file.stem.lstrip("0123456789_") for file in (TOP / "schema" / "verify").glob("*.sql")}


def test_every_check_has_damage_that_it_finds():
    assert checks() == set().union(*(found_by for _, found_by in DAMAGE))
