"""Every statement that the programs send can be prepared on a migrated database."""

import re
from pathlib import Path

QUERIES = sorted((Path(__file__).resolve().parents[2] / "schema" / "queries").glob("*.sql"))


def test_every_query_prepares_with_nothing_on_the_search_path(world):
    assert QUERIES
    refused = []
    with world.postgres.connect(world.name) as connection:
        connection.execute("SET search_path = pg_catalog")
        for path in QUERIES:
            text = path.read_text()
            if re.sub(r"--.*", "", text).split() in (["BEGIN"], ["COMMIT"], ["BEGIN;"], ["COMMIT;"]):
                continue
            try:
                connection.execute("PREPARE q AS " + text)
                connection.execute("DEALLOCATE q")
            except Exception as error:
                refused.append(f"{path.name}: {error}")
    assert refused == []


def test_every_query_says_what_its_parameters_are():
    silent = []
    for path in QUERIES:
        text = path.read_text()
        comment = "".join(line for line in text.splitlines(True) if line.startswith("--"))
        used = set(re.findall(r"\$\d+", text.replace(comment, "")))
        told = set(re.findall(r"\$\d+", comment))
        if not comment or (used and not used <= told and "…" not in comment):
            silent.append(f"{path.name}: {sorted(used - told)}")
    assert silent == []
