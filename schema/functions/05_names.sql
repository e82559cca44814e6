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

-- What the key of an event is the hash of begins with this: the first parts of hash_parts().
CREATE OR REPLACE FUNCTION debitd.key_head(source text) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN '\x0000000f'::bytea || 'debitd/event/v1'::bytea || int4send(octet_length(source)) || convert_to(source, 'UTF8');
END
$$;

-- The time that an id tells, in milliseconds since 1970: a UUID of version 7 (RFC 9562) or a ULID;
-- null: it tells none.
CREATE OR REPLACE FUNCTION debitd.time_of_id(id text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF id ~ '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$' THEN
        RETURN ('x' || substr(id, 1, 8) || substr(id, 10, 4))::bit(48)::bigint;
    ELSIF id ~ '^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$' THEN
        RETURN (SELECT sum((strpos('0123456789ABCDEFGHJKMNPQRSTVWXYZ', upper(substr(id, place, 1))) - 1)::bigint << 5 * (10 - place))
                  FROM generate_series(1, 10) AS place);
    END IF;
    RETURN NULL;
END
$$;

-- The key of an event, its identity within the books: half of SHA-256 over source and id, led by
-- the time that the id tells where the books are so (books.timed_keys). The same as hash_identity()
-- and hash_lead_by_time() of the daemon. head: key_head(source).
CREATE OR REPLACE FUNCTION debitd.key_of(head bytea, id text, timed boolean) RETURNS uuid
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bytes bytea := substring(sha256(head || int4send(octet_length(id)) || convert_to(id, 'UTF8')) FROM 1 FOR 16);
    made_ms CONSTANT bigint := CASE WHEN timed AND length(id) IN (26, 36) THEN debitd.time_of_id(id) END;
BEGIN
    IF made_ms IS NOT NULL THEN
        bytes := substring(int8send(made_ms >> 10) FROM 6) || substring(bytes FROM 4);
    END IF;
    RETURN encode(bytes, 'hex')::uuid;
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
