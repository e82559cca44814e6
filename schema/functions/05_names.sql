-- Names of the outside, and the hashes of what comes from there.

-- Ids of names, made where missing. Sorted, so that two sessions with the same new names do not
-- wait for each other in a ring; called before the payer locks, because it waits for a session that
-- makes the same name.
CREATE OR REPLACE FUNCTION debitd.intern(names text[]) RETURNS TABLE (name text, name_id integer)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO debitd.name (name)
    SELECT DISTINCT w.name COLLATE "C" FROM unnest(names) AS w (name)
     WHERE w.name IS NOT NULL AND NOT EXISTS (SELECT FROM debitd.name n WHERE n.name = w.name)
     ORDER BY 1
    ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT n.name::text, n.name_id FROM debitd.name n WHERE n.name = ANY (names) ORDER BY n.name;
END
$$;

-- The first 128 bits of SHA-256 over length-prefixed parts; the same as hash_parts() of the daemon:
-- a length is 4 bytes, big endian, an absent part has length ffffffff.
CREATE OR REPLACE FUNCTION debitd.hash_parts(parts text[]) RETURNS uuid
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bytes bytea := ''::bytea;
    part  text;
BEGIN
    FOREACH part IN ARRAY parts LOOP
        bytes := bytes || coalesce(int4send(octet_length(part)) || convert_to(part, 'UTF8'), '\xffffffff');
    END LOOP;
    RETURN encode(substring(sha256(bytes) FROM 1 FOR 16), 'hex')::uuid;
END
$$;

-- True for what contract 1 takes as an id, a name or an optional string: 1-256 bytes without
-- control characters.
CREATE OR REPLACE FUNCTION debitd.is_name(value text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN coalesce(octet_length(value) BETWEEN 1 AND 256 AND value !~ '[\u0001-\u001f\u007f-\u009f]', false);
END
$$;
