-- Exact decimals: what numeric does not do by itself is round half to even (contract 2.1). Pure
-- functions; every result is in shortest form (no trailing zeros), as all amounts and quantities of
-- the books are.

-- value rounded to that many decimal places, half to even.
CREATE OR REPLACE FUNCTION debitd.round_half_even(value numeric, places integer) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    unit    CONSTANT numeric := ('1e' || -places)::numeric; -- of the last place kept
    nearest numeric := round(value, places);                 -- half away from zero
BEGIN
    -- Exactly half way: the neighbour nearer to zero is the even one where the last digit kept is odd.
    IF abs(value - nearest) * 2 = unit AND mod(div(nearest, unit), 2) <> 0 THEN
        nearest := nearest - sign(value) * unit;
    END IF;
    RETURN trim_scale(nearest);
END
$$;

-- a x b / c, rounded once, half to even. c is not 0.
CREATE OR REPLACE FUNCTION debitd.mul_div_half_even(a numeric, b numeric, c numeric, places integer) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    scaled   CONSTANT numeric := abs(a) * abs(b) * ('1e' || places)::numeric;
    whole    numeric := div(scaled, abs(c)); -- exact: a quotient never has to be cut before it is rounded
    rest     CONSTANT numeric := scaled - whole * abs(c);
    negative CONSTANT boolean := (sign(a) * sign(b) * sign(c)) < 0;
BEGIN
    IF rest * 2 > abs(c) OR (rest * 2 = abs(c) AND mod(whole, 2) = 1) THEN
        whole := whole + 1;
    END IF;
    whole := whole * ('1e' || -places)::numeric;
    RETURN trim_scale(CASE WHEN negative THEN -whole ELSE whole END);
END
$$;

-- Shortest plain form, as alerts write decimals: no exponent, no trailing zeros.
CREATE OR REPLACE FUNCTION debitd.plain(value numeric) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN trim_scale(value)::text;
END
$$;
