#!/usr/bin/python3
"""Writes tests/unit/decimal_cases.txt: what base/decimal.c must answer, worked out by Python's own decimal
and fractions, which share nothing with it. Run it only to add cases: the file is committed.

    tests/unit/decimal_cases.py > tests/unit/decimal_cases.txt
"""
import decimal
import random
import re
from fractions import Fraction

GRAMMAR = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
INT128_MAX = 2 ** 127 - 1
decimal.setcontext(decimal.Context(prec=5000, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN))


def parse(text, places, most):
    if not GRAMMAR.fullmatch(text):
        return "not_a_number"
    mantissa, _, power = text.lower().partition("e")
    value, shift = decimal.Decimal(mantissa), int(power or 0) + places
    if value == 0:
        return "0"
    if value.adjusted() + shift > 60:
        return "too_large"
    if value.adjusted() + shift < -60:
        return "too_precise" if most else "too_large"
    value = value.scaleb(shift)
    if abs(value) > most:
        return "too_large"
    return str(int(value)) if value == value.to_integral_value() else "too_precise"


def mul_div(a, b, c):
    """round() of a Fraction is half-even."""
    value = round(Fraction(a * b, c))
    return str(value) if abs(value) <= INT128_MAX else "none"


def plain(value, places):
    text = format(decimal.Decimal(value).scaleb(-places), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def texts(rng):
    yield from ("", "-", "+1", "01", "-01", "00", ".5", "5.", "1.e3", "1e", "1e+", "1e-", "1e1.5", "1 ", " 1",
                "0x10", "Infinity", "NaN", "1_000", "1,5", "--1", "1e5e5", "1.2.3", "-.5", "e5", "1E", "1-1")
    yield from ("0", "-0", "0.0", "-0.000", "0e999999999", "-0E-99999999999999999999", "0.0e5", "1e999999999",
                "1e-999999999", "-1e999999999", "1.0000000", "1.0000001", "0.1", "10e-1", "100E-2", "1e6", "1E+6",
                "1e-6", "1e-7", "0.000001", "0.0000010", "1e12", "1e+12", "1000000000000", "1000000000000.0",
                "1000000000000.000001", "1000000000000.0000001", "999999999999.999999", "999999999999.9999999",
                "1000000000001", "-1e12", "-1000000000000.000001", "123456789012345678901234567890",
                "999999999999999999999999999999999999999", "9" * 40, "0." + "0" * 30 + "1", "1" + "0" * 30 + "e-30",
                "170141183460469231731687303715884105727", "170141183460469231731687303715884105728",
                "0.00000000000000000000000000000000000000000000001e47", "12345.678e-3", "12345.678e3", "1.5e0", "1.5e-0")
    for _ in range(260):
        whole = rng.choice(["0", str(rng.randrange(1, 10 ** rng.randrange(1, 25)))])
        part = "." + "".join(rng.choice("0001234567899") for _ in range(rng.randrange(1, 16))) if rng.random() < .7 else ""
        power = rng.choice(["e", "E"]) + rng.choice(["", "+", "-"]) + str(rng.randrange(0, 30)) if rng.random() < .5 else ""
        yield rng.choice(["", "-"]) + whole + part + power


def main():
    rng = random.Random(20261121)
    print("# kind|arguments|answer; written by tests/unit/decimal_cases.py")
    for text in texts(rng):
        for places, most in ((6, 10 ** 18), (12, 10 ** 30 - 1)):
            print(f"parse|{text}|{places}|{most}|{parse(text, places, most)}")
    for text in ("0", "1", "0.5", "170141183460469231731687303715884105727", "170141183460469231731687303715884105728",
                 "1e38", "2e38", "1e39", "-170141183460469231731687303715884105727"):
        print(f"parse|{text}|0|{INT128_MAX}|{parse(text, 0, INT128_MAX)}")
        print(f"parse|{text}|0|0|{parse(text, 0, 0)}")
    for _ in range(60):
        a, c = rng.randrange(-50, 50), rng.randrange(1, 9)
        print(f"mul_div|{a}|{(b := rng.randrange(-50, 50))}|{c}|{mul_div(a, b, c)}")
    for _ in range(240):
        a, b = (rng.choice([-1, 1]) * rng.randrange(2 ** rng.randrange(1, 127)) for _ in range(2))
        c = rng.choice([2, 10 ** 6, 10 ** 12, rng.randrange(1, 2 ** rng.randrange(1, 127)),
                        max(1, min(INT128_MAX, abs(a * b) >> rng.randrange(100, 127)))])
        print(f"mul_div|{a}|{b}|{c}|{mul_div(a, b, c)}")
    for a, b, c in ((INT128_MAX, 1, 1), (INT128_MAX, INT128_MAX, INT128_MAX), (-INT128_MAX, INT128_MAX, INT128_MAX),
                    (INT128_MAX, 2, 1), (INT128_MAX, INT128_MAX, 1), (INT128_MAX, 3, 2), (2 ** 126, 4, 2),
                    (2 ** 126, 2, 1), (2 ** 64, 2 ** 64, 2), (2 ** 64, 2 ** 64, 4), (0, INT128_MAX, 1), (1, 1, INT128_MAX),
                    (2 ** 126 - 1, 2 ** 126 - 1, 2 ** 126), (5, 1, 2), (-5, 1, 2), (7, 1, 2), (-7, 1, 2), (15, 1, 10),
                    (25, 1, 10), (1, 1, 2), (3, 1, 2), (-1, 1, 2), (-3, 1, 2)):
        print(f"mul_div|{a}|{b}|{c}|{mul_div(a, b, c)}")
    for _ in range(80):
        value = rng.choice([-1, 1]) * rng.randrange(10 ** rng.randrange(1, 38))
        value -= value % 10 ** rng.choice([0, 0, 3, 7])
        places = rng.choice([0, 6, 12])
        print(f"format|{value}|{places}|{plain(value, places)}")
    for value in (0, 1, -1, 10, INT128_MAX, -INT128_MAX, 10 ** 12, -10 ** 12, 500000, 10 ** 30 - 1):
        for places in (0, 6, 12, 38):
            print(f"format|{value}|{places}|{plain(value, places)}")


main()
