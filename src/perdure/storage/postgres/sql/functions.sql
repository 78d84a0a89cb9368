-- The calls of the store, each one round trip. `@` in a name stands for the tag of this text, so that hosts of several
-- releases can use one database at once; functions of releases that are gone are dropped by a later start.
--
-- `@plan@` stands for settings: joins follow indexes whatever the statistics of the moment say. The tables start empty
-- and may grow by a million rows before they are analysed for the first time, and plans are kept as long as a
-- connection. OFFSET 0 keeps a join in the order written. `@plan@` also bounds waiting for locks. `@walk@` follows one
-- index in its order besides. `@matching@` stands for the filters of a listing that no index knows.

-- Everything that instances have, and the instances.
CREATE FUNCTION drop_instances@(p_numbers bigint[]) RETURNS void LANGUAGE plpgsql @plan@ AS $body$
BEGIN
    WITH i AS (DELETE FROM inbox WHERE n = ANY (p_numbers)),
         h AS (DELETE FROM history WHERE n = ANY (p_numbers)),
         w AS (DELETE FROM work WHERE n = ANY (p_numbers)),
         a AS (DELETE FROM attempt WHERE n = ANY (p_numbers)),
         m AS (DELETE FROM audit WHERE n = ANY (p_numbers))
    DELETE FROM instance WHERE n = ANY (p_numbers);
END $body$;

-- Insert new instances in the order given; the numbers of those whose id was free.
CREATE FUNCTION add_instances@(p_hub integer, p_news json, p_turns boolean[], OUT asked integer, OUT added bigint[])
LANGUAGE plpgsql @plan@ AS $body$
BEGIN
    WITH c AS MATERIALIZED (
        SELECT * FROM json_to_recordset(p_news) AS c (
            n bigint, id text, kind integer, name text, version text, status integer, owner bigint, not_before bigint,
            parent_n bigint, parent_generation integer, parent_task integer, parent_id text, created bigint, tags text,
            input text, turn integer)
        WHERE c.turn = 0 OR p_turns[c.turn]
    ), put AS (
        INSERT INTO instance (n, hub, id, kind, name, version, status, owner, not_before, parent_n, parent_generation,
            parent_task, parent_id, created, updated, tags, input)
        SELECT c.n, p_hub, c.id, c.kind, c.name, c.version, c.status, c.owner, c.not_before, c.parent_n,
            c.parent_generation, c.parent_task, c.parent_id, c.created, c.created, c.tags, c.input
        FROM c ON CONFLICT (hub, id) DO NOTHING RETURNING n
    )
    SELECT (SELECT count(*) FROM c), (SELECT array_agg(n) FROM put) INTO asked, added;
    added := coalesce(added, '{}');
END $body$;

-- One commit (design 6.1): the answer as a JSON array. Arrays of one letter's prefix belong together, an element for
-- each: t turns, c inbox rows to delete, d finished tasks, w work rows, m messages, r results, x releases, k given back.
-- A message is sent if its gate is open: 0 always, 1 the turn, 2 a refused creation, 3 the result, 4 the purge, 5 the
-- purge of an unfinished instance, each with the position of that item.
CREATE FUNCTION commit@(
    p_token bigint, p_number bigint, p_hub integer, p_shape text,
    t_n bigint[], t_base integer[], t_generation integer[], t_next_generation integer[], t_status integer[],
    t_updated bigint[], t_cursor integer[], t_first integer[], t_suspect integer[], t_lock bigint[],
    t_started bigint[], t_completed bigint[], t_flags integer[], t_drop integer[], t_input text[], t_output text[],
    t_custom text[], t_state text[], t_history text[],
    c_turn integer[], c_n bigint[], c_seq bigint[],
    d_turn integer[], d_n bigint[], d_generation integer[], d_task integer[],
    w_turn integer[], w_n bigint[], w_generation integer[], w_task integer[], w_function text[], w_key text[],
    w_input text[], w_owner bigint[], w_attempt integer[], w_suspect integer[], w_not_before bigint[],
    w_scheduled bigint[],
    m_gate integer[], m_item integer[], m_n bigint[], m_id text[], m_kind text[], m_control integer[],
    m_generation integer[], m_task integer[], m_due bigint[], m_ahead integer[], m_body text[],
    r_n bigint[], r_generation integer[], r_task integer[], r_owner bigint[],
    x_n bigint[], x_not_before bigint[],
    k_n bigint[], k_generation integer[], k_task integer[], k_suspect integer[], k_not_before bigint[],
    p_news json, p_parkings json, p_chunks json, p_purges json, p_attempts json, p_audits json
) RETURNS text LANGUAGE plpgsql @plan@ AS $body$
#variable_conflict use_column
DECLARE
    v_host record; v_item record; v_holder record; v_news record;
    v_now bigint; v_answer text; v_loop integer;
    turn_ok boolean[] := '{}'; chunk_ok boolean[] := '{}'; parking_ok boolean[] := '{}';
    result_ok boolean[] := '{}'; new_ok boolean[] := '{}'; new_n bigint[] := '{}'; new_status integer[] := '{}';
    purge_ok boolean[] := '{}'; purge_open boolean[] := '{}'; purged integer[] := '{}';
    sent_seq bigint[] := '{}'; sent_n bigint[] := '{}'; sent_owner bigint[] := '{}';
    v_halts bigint[] := '{}'; v_gone bigint[];
BEGIN
    SELECT dead, number, answer INTO v_host FROM host WHERE token = p_token FOR NO KEY UPDATE;
    v_now := now_us();
    IF NOT FOUND THEN RETURN json_build_array(p_number, v_now); END IF;
    IF v_host.number = p_number AND v_host.answer IS NOT NULL THEN RETURN v_host.answer; END IF;
    IF v_host.dead THEN RETURN json_build_array(p_number, v_now); END IF;
    IF p_number <= v_host.number THEN
        RAISE EXCEPTION 'commit % came after commit % of host %', p_number, v_host.number, p_token;
    END IF;

    -- Who survives: own rows that stand at the base, locked in the order of their numbers.
    IF cardinality(t_n) > 0 THEN
        SELECT array_agg(s.n IS NOT NULL ORDER BY t.o),
               array_agg(t.n) FILTER (WHERE s.status IN (3, 7) OR (s.n IS NOT NULL AND t.status IN (3, 7)))
        INTO turn_ok, v_halts
        FROM unnest(t_n, t_base, t_status) WITH ORDINALITY AS t (n, base, status, o)
        LEFT JOIN LATERAL (
            SELECT i.n, i.status FROM instance i
            WHERE i.n = t.n AND i.hub = p_hub AND i.owner = p_token AND i.turn = t.base FOR NO KEY UPDATE
        ) s ON true;
    END IF;

    IF p_parkings IS NOT NULL THEN
        FOR v_item IN SELECT * FROM json_to_recordset(p_parkings)
            AS p (n bigint, base integer, report text, suspect integer)
        LOOP
            UPDATE instance SET parked = v_item.report, suspect = v_item.suspect
            WHERE n = v_item.n AND hub = p_hub AND owner = p_token AND turn = v_item.base;
            parking_ok := parking_ok || FOUND;
            v_halts := v_halts || v_item.n;
        END LOOP;
    END IF;

    IF cardinality(t_n) > 0 THEN
        WITH moved AS (
            UPDATE instance i SET turn = t.base + 1, generation = t.next_generation, status = t.status,
                updated = t.updated, "cursor" = t."cursor", first_turn = t.first_turn, suspect = t.suspect,
                lock_holder = CASE WHEN t.lock_holder < 0 THEN i.lock_holder ELSE t.lock_holder END,
                started = CASE WHEN t.started = 0 THEN i.started ELSE t.started END,
                completed = CASE WHEN t.completed <> 0 THEN greatest(t.completed, 0)
                    WHEN i.completed <> 0 AND t.status NOT IN (1, 3, 4, 5) THEN 0 ELSE i.completed END,
                input = CASE WHEN t.flags & 1 <> 0 THEN t.input ELSE i.input END,
                output = CASE WHEN t.flags & 2 <> 0 THEN t.output ELSE i.output END,
                custom_status = CASE WHEN t.flags & 4 <> 0 THEN t.custom ELSE i.custom_status END,
                state = CASE WHEN t.flags & 8 <> 0 THEN t.state ELSE i.state END
            FROM unnest(t_n, t_base, t_next_generation, t_status, t_updated, t_cursor, t_first, t_suspect, t_lock,
                t_started, t_completed, t_flags, t_input, t_output, t_custom, t_state) WITH ORDINALITY
                AS t (n, base, next_generation, status, updated, "cursor", first_turn, suspect, lock_holder, started,
                completed, flags, input, output, custom, state, o)
            WHERE turn_ok[t.o] AND i.n = t.n
        ), written AS (
            INSERT INTO history (n, generation, turn, body)
            SELECT t.n, t.generation, t.base + 1, t.body
            FROM unnest(t_n, t_generation, t_base, t_history) WITH ORDINALITY AS t (n, generation, base, body, o)
            WHERE turn_ok[t.o] AND t.body IS NOT NULL
        ), consumed AS (
            DELETE FROM inbox w USING unnest(c_turn, c_n, c_seq) AS c (turn, n, seq)
            WHERE turn_ok[c.turn] AND w.n = c.n AND w.seq = c.seq
        ), done AS (
            DELETE FROM work w USING unnest(d_turn, d_n, d_generation, d_task) AS d (turn, n, generation, task)
            WHERE turn_ok[d.turn] AND w.n = d.n AND w.generation = d.generation AND w.task = d.task
        ), closed AS (
            DELETE FROM inbox w USING unnest(t_n, t_flags) WITH ORDINALITY AS t (n, flags, o)
            WHERE t.flags & 48 <> 0 AND turn_ok[t.o] AND w.n = t.n
                AND CASE WHEN w.due = 0 THEN t.flags & 16 <> 0 ELSE t.flags & 32 <> 0 END
        ), unasked AS (
            DELETE FROM work w USING unnest(t_n, t_flags) WITH ORDINALITY AS t (n, flags, o)
            WHERE t.flags & 64 <> 0 AND turn_ok[t.o] AND w.n = t.n
        )
        DELETE FROM history h USING unnest(t_n, t_drop) WITH ORDINALITY AS t (n, below, o)
        WHERE t.below > 0 AND turn_ok[t.o] AND h.n = t.n AND h.generation < t.below;
    END IF;

    IF p_chunks IS NOT NULL THEN
        FOR v_item IN SELECT * FROM json_to_recordset(p_chunks) AS c (n bigint, at integer, next integer) LOOP
            UPDATE instance SET "cursor" = v_item.next
            WHERE n = v_item.n AND hub = p_hub AND owner = p_token AND "cursor" = v_item.at;
            chunk_ok := chunk_ok || FOUND;
        END LOOP;
    END IF;

    IF cardinality(w_n) > 0 THEN
        INSERT INTO work (n, generation, task, hub, seq, function, key, input, owner, attempt, suspect, not_before,
            scheduled)
        SELECT w.n, w.generation, w.task, p_hub, nextval('seq'), w.function, w.key, w.input, w.owner, w.attempt,
            w.suspect, w.not_before, w.scheduled
        FROM unnest(w_turn, w_n, w_generation, w_task, w_function, w_key, w_input, w_owner, w_attempt, w_suspect,
            w_not_before, w_scheduled) AS w (turn, n, generation, task, function, key, input, owner, attempt, suspect,
            not_before, scheduled)
        WHERE CASE WHEN w.turn > 0 THEN turn_ok[w.turn] ELSE chunk_ok[-w.turn] END
        ON CONFLICT (n, generation, task) DO UPDATE SET seq = excluded.seq, function = excluded.function,
            key = excluded.key, input = excluded.input, owner = excluded.owner, request = 0,
            attempt = excluded.attempt, suspect = excluded.suspect, not_before = excluded.not_before,
            scheduled = excluded.scheduled;
    END IF;

    -- What can no longer move its instance leaves the indexes, and comes back when it can.
    IF cardinality(v_halts) > 0 THEN
        UPDATE inbox w SET held = w.control < least_control(i.kind, i.status, i.parked)
        FROM instance i
        WHERE i.n = ANY (v_halts) AND i.owner = p_token AND w.n = i.n
            AND w.held <> (w.control < least_control(i.kind, i.status, i.parked));
    END IF;

    IF cardinality(x_n) > 0 THEN
        UPDATE instance i SET owner = 0, not_before = greatest(i.not_before, x.not_before)
        FROM unnest(x_n, x_not_before) AS x (n, not_before)
        WHERE i.n = x.n AND i.hub = p_hub AND i.owner = p_token;
    END IF;

    IF p_purges IS NOT NULL THEN
        SELECT array_agg(p.verdict ORDER BY p.o), array_agg(p.open AND p.verdict = 0 ORDER BY p.o),
            array_agg(p.n) FILTER (WHERE p.verdict = 0)
        INTO purged, purge_open, v_gone
        FROM (
            SELECT q.o, q.n, l.open, CASE
                WHEN l.n IS NULL AND EXISTS (SELECT 1 FROM instance i WHERE i.n = q.n AND i.hub = p_hub) THEN 1
                WHEN l.n IS NULL THEN 2
                WHEN q.turn NOT IN (-1, l.turn) THEN 1
                ELSE 0 END AS verdict
            FROM json_to_recordset(p_purges) AS q (o integer, n bigint, turn integer)
            LEFT JOIN LATERAL (
                SELECT i.n, i.turn, least_control(i.kind, i.status, i.parked) < 2 AS open FROM instance i
                WHERE i.n = q.n AND i.hub = p_hub FOR UPDATE SKIP LOCKED
            ) l ON true
        ) p;
        -- a statement of its own: it sees what was committed until the rows were locked
        FOR v_item IN
            SELECT q.o, q.n FROM json_to_recordset(p_purges) AS q (o integer, n bigint, idle boolean)
            WHERE q.idle AND q.n = ANY (v_gone) AND EXISTS (SELECT 1 FROM inbox w WHERE w.n = q.n)
        LOOP
            purged[v_item.o] := 1;
            purge_open[v_item.o] := false;
            v_gone := array_remove(v_gone, v_item.n);
        END LOOP;
        IF cardinality(v_gone) > 0 THEN PERFORM drop_instances@(v_gone); END IF;
        SELECT array_agg(v = 0 ORDER BY o) INTO purge_ok FROM unnest(purged) WITH ORDINALITY AS p (v, o);
    END IF;

    IF p_news IS NOT NULL THEN
        v_news := add_instances@(p_hub, p_news, turn_ok);
        v_loop := json_array_length(p_news);
        new_ok := array_fill(true, ARRAY[v_loop]);
        IF v_news.asked <> cardinality(v_news.added) THEN
            new_n := array_fill(0::bigint, ARRAY[v_loop]);
            new_status := array_fill(-1, ARRAY[v_loop]);
            FOR v_item IN
                SELECT c.o, c.n, c.id, c.policy, c.turn, e.value AS whole
                FROM json_array_elements(p_news) e,
                    json_to_record(e.value) AS c (o integer, n bigint, id text, policy integer, turn integer)
                WHERE (c.turn = 0 OR turn_ok[c.turn]) AND c.n <> ALL (v_news.added)
            LOOP
                LOOP
                    SELECT n, status INTO v_holder FROM instance WHERE hub = p_hub AND id = v_item.id;
                    IF FOUND THEN
                        IF v_item.policy = 0 OR v_holder.status NOT IN (1, 3, 4, 5) THEN
                            new_ok[v_item.o] := false;
                            new_n[v_item.o] := v_holder.n;
                            new_status[v_item.o] := v_holder.status;
                            EXIT;
                        END IF;
                        SELECT n, status INTO v_holder FROM instance WHERE n = v_holder.n FOR UPDATE;
                        CONTINUE WHEN NOT FOUND OR v_holder.status NOT IN (1, 3, 4, 5);
                        PERFORM drop_instances@(ARRAY[v_holder.n]);
                    END IF;
                    EXIT WHEN cardinality((add_instances@(p_hub, json_build_array(v_item.whole), turn_ok)).added) > 0;
                END LOOP;
            END LOOP;
        END IF;
    END IF;

    IF cardinality(r_n) > 0 THEN
        result_ok := array_fill(false, ARRAY[cardinality(r_n)]);
        FOR v_loop IN
            DELETE FROM work w USING unnest(r_n, r_generation, r_task, r_owner) WITH ORDINALITY
                AS r (n, generation, task, owner, o)
            WHERE w.n = r.n AND w.generation = r.generation AND w.task = r.task AND w.owner = r.owner AND w.hub = p_hub
            RETURNING r.o
        LOOP
            result_ok[v_loop] := true;
        END LOOP;
    END IF;

    IF cardinality(m_n) > 0 THEN
        WITH numbers AS MATERIALIZED (
            SELECT array_agg(nextval('seq')) AS a FROM generate_series(1, cardinality(m_n))
        ), addressed AS MATERIALIZED (
            SELECT m.*, i.n AS to_n, i.owner,
                CASE m.gate WHEN 0 THEN true WHEN 1 THEN turn_ok[m.item] WHEN 2 THEN NOT new_ok[m.item]
                    WHEN 3 THEN result_ok[m.item] WHEN 4 THEN purge_ok[m.item] ELSE purge_open[m.item] END
                AND i.n IS NOT NULL
                AND (i.status = 3 OR least_control(i.kind, i.status, i.parked) < 2) AS kept,
                CASE WHEN m.ahead > 0 THEN -(SELECT a FROM numbers)[m.ahead] ELSE (SELECT a FROM numbers)[m.o] END AS seq
            FROM unnest(m_gate, m_item, m_n, m_id, m_kind, m_control, m_generation, m_task, m_due, m_ahead, m_body)
                WITH ORDINALITY
                AS m (gate, item, n, id, kind, control, generation, task, due, ahead, body, o)
            LEFT JOIN instance i ON i.hub = p_hub AND i.n = CASE WHEN m.n <> 0 THEN m.n
                ELSE (SELECT j.n FROM instance j WHERE j.hub = p_hub AND j.id = m.id) END
        ), put AS (
            INSERT INTO inbox (n, seq, hub, kind, control, generation, task, due, body)
            SELECT a.to_n, a.seq, p_hub, a.kind, a.control, a.generation, a.task, a.due, a.body
            FROM addressed a WHERE a.kept
        )
        SELECT array_agg(CASE WHEN a.kept THEN a.seq ELSE 0 END ORDER BY a.o),
            array_agg(coalesce(a.to_n, a.n) ORDER BY a.o), array_agg(coalesce(a.owner, 0) ORDER BY a.o)
        INTO sent_seq, sent_n, sent_owner FROM addressed a;
    END IF;

    IF cardinality(k_n) > 0 THEN
        UPDATE work w SET owner = 0, suspect = k.suspect, not_before = k.not_before
        FROM unnest(k_n, k_generation, k_task, k_suspect, k_not_before) AS k (n, generation, task, suspect, not_before)
        WHERE w.n = k.n AND w.generation = k.generation AND w.task = k.task AND w.owner = p_token;
    END IF;

    IF p_attempts IS NOT NULL THEN
        INSERT INTO attempt (n, generation, task, attempt, scheduled, started, finished, host, worker, failure)
        SELECT a.* FROM json_to_recordset(p_attempts) AS a (n bigint, generation integer, task integer, attempt integer,
            scheduled bigint, started bigint, finished bigint, host bigint, worker text, failure text)
        WHERE EXISTS (SELECT 1 FROM instance i WHERE i.n = a.n)
        ON CONFLICT (n, generation, task, attempt) DO UPDATE SET started = excluded.started,
            finished = excluded.finished, host = excluded.host, worker = excluded.worker, failure = excluded.failure;
    END IF;

    -- Management operations, each with what it did: 0 the hub's own, 1 a message, 2 a new instance, 3 a purge.
    IF p_audits IS NOT NULL THEN
        WITH a AS MATERIALIZED (
            SELECT * FROM json_to_recordset(p_audits) AS a (gate integer, item integer, n bigint, target text,
                operation text, who text, time bigint, reason text, result text)
        ), earlier AS (
            DELETE FROM audit o USING a
            WHERE a.gate = 0 AND o.n = 0 AND o.hub = p_hub AND o.time = a.time AND o.operation = a.operation
        )
        INSERT INTO audit (hub, n, instance_id, time, operation, who, reason, result)
        SELECT p_hub, CASE WHEN a.gate = 1 THEN sent_n[a.item] ELSE a.n END, a.target, a.time, a.operation, a.who,
            a.reason, a.result
        FROM a WHERE CASE a.gate WHEN 0 THEN true WHEN 1 THEN sent_seq[a.item] <> 0 WHEN 2 THEN new_ok[a.item]
            ELSE purge_ok[a.item] END;
        DELETE FROM audit WHERE n = 0 AND hub = p_hub AND number < (
            SELECT min(f.number) FROM (
                SELECT o.number FROM audit o WHERE o.n = 0 AND o.hub = p_hub ORDER BY o.number DESC LIMIT 1000) f);
    END IF;

    -- acknowledged means durable, whatever the server's default is
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    v_answer := json_build_array(p_number, v_now, p_shape::json, turn_ok, chunk_ok, parking_ok, purged,
        json_build_array(new_ok, new_n, new_status), json_build_array(sent_seq, sent_n, sent_owner));
    UPDATE host SET beat = beat + 1, heard = v_now, number = p_number, answer = v_answer WHERE token = p_token;
    RETURN v_answer;
END $body$;

-- Own these instances, those of living hosts left out; whether the token is alive.
CREATE FUNCTION claim@(p_token bigint, p_hub integer, p_numbers bigint[]) RETURNS boolean
LANGUAGE plpgsql @plan@ AS $body$
BEGIN
    PERFORM 1 FROM host WHERE token = p_token AND NOT dead AND NOT leaving;
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE instance i SET owner = p_token
    FROM (
        SELECT f.n FROM instance f
        WHERE f.n = ANY (p_numbers) AND f.hub = p_hub AND f.owner <> p_token
            AND (f.owner = 0 OR EXISTS (SELECT 1 FROM host h WHERE h.token = f.owner AND (h.dead OR h.leaving)))
        ORDER BY f.n FOR NO KEY UPDATE SKIP LOCKED
    ) f WHERE i.n = f.n;
    RETURN true;
END $body$;

-- Whether an instance runs one of these functions (`kind:name` in lower case).
CREATE FUNCTION runs_one_of@(p_functions text[], p_kind integer, p_name text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS
    $$ SELECT (CASE p_kind WHEN 0 THEN 'orchestration:' ELSE 'entity:' END) || lower(p_name) = ANY (p_functions) $$;

-- Own what has something to do and belongs to no living host: their numbers. Those of functions that are passed over are
-- left to others.
CREATE FUNCTION claim_ready@(p_token bigint, p_hub integer, p_limit integer, p_passed text[]) RETURNS bigint[]
LANGUAGE plpgsql @plan@ AS $body$
DECLARE
    v_now bigint := now_us(); v_found bigint[]; v_lost bigint[];
BEGIN
    PERFORM 1 FROM host WHERE token = p_token AND NOT dead AND NOT leaving;
    IF NOT FOUND THEN RETURN '{}'; END IF;

    -- without a message: each owner of such instances is one seek
    WITH RECURSIVE owners AS (
        SELECT (SELECT i.owner FROM instance i WHERE i.hub = p_hub AND i.parked IS NULL AND i.status IN (0, 2, 6)
            AND (i."cursor" > 0 OR (i.first_turn = 0 AND i.kind = 0)) ORDER BY i.owner LIMIT 1) AS owner
        UNION ALL
        SELECT (SELECT i.owner FROM instance i WHERE i.hub = p_hub AND i.parked IS NULL AND i.status IN (0, 2, 6)
            AND (i."cursor" > 0 OR (i.first_turn = 0 AND i.kind = 0)) AND i.owner > o.owner ORDER BY i.owner LIMIT 1)
        FROM owners o WHERE o.owner IS NOT NULL
    )
    SELECT array_agg(f.n) INTO v_found FROM (
        SELECT i.n FROM owners o CROSS JOIN LATERAL (
            SELECT i.n FROM instance i WHERE i.hub = p_hub AND i.parked IS NULL AND i.status IN (0, 2, 6)
                AND (i."cursor" > 0 OR (i.first_turn = 0 AND i.kind = 0)) AND i.owner = o.owner
                AND i.not_before <= v_now AND (p_passed IS NULL OR NOT runs_one_of@(p_passed, i.kind, i.name))
            ORDER BY i.not_before LIMIT p_limit
        ) i
        WHERE o.owner = 0 OR EXISTS (SELECT 1 FROM host h WHERE h.token = o.owner AND (h.dead OR h.leaving))
        LIMIT p_limit
    ) f;

    -- with waiting messages: each addressee is one seek, however many messages it has
    IF coalesce(cardinality(v_found), 0) < p_limit THEN
        WITH RECURSIVE numbers AS (
            SELECT (SELECT w.n FROM inbox w WHERE w.hub = p_hub AND w.due = 0 AND NOT w.held ORDER BY w.n LIMIT 1) AS n
            UNION ALL
            SELECT (SELECT w.n FROM inbox w WHERE w.hub = p_hub AND w.due = 0 AND NOT w.held AND w.n > o.n
                ORDER BY w.n LIMIT 1)
            FROM numbers o WHERE o.n IS NOT NULL
        ), addressees AS MATERIALIZED (
            SELECT o.n, i.n IS NULL OR (i.kind = 0 AND i.status IN (1, 4, 5)) AS lost,
                i.not_before <= v_now AND (p_passed IS NULL OR NOT runs_one_of@(p_passed, i.kind, i.name))
                AND (i.owner = 0 OR EXISTS (SELECT 1 FROM host h WHERE h.token = i.owner AND (h.dead OR h.leaving)))
                AND EXISTS (SELECT 1 FROM inbox w WHERE w.hub = p_hub AND w.n = o.n AND w.due = 0 AND NOT w.held
                    AND w.control >= least_control(i.kind, i.status, i.parked)) AS free
            FROM numbers o LEFT JOIN LATERAL (SELECT * FROM instance x WHERE x.n = o.n OFFSET 0) i ON true
            WHERE o.n IS NOT NULL
        )
        SELECT v_found || array_agg(n) FILTER (WHERE free), array_agg(n) FILTER (WHERE lost)
        INTO v_found, v_lost FROM addressees WHERE free OR lost;
        -- sent while their addressee ended: nobody will read them
        IF v_lost IS NOT NULL THEN DELETE FROM inbox WHERE n = ANY (v_lost) AND due = 0; END IF;
    END IF;

    IF coalesce(cardinality(v_found), 0) < p_limit THEN
        SELECT v_found || array_agg(d.n) INTO v_found FROM (
            SELECT w.n FROM inbox w
        CROSS JOIN LATERAL (SELECT * FROM instance x WHERE x.n = w.n OFFSET 0) i
            WHERE w.hub = p_hub AND w.due > 0 AND NOT w.held AND w.due <= v_now
                AND least_control(i.kind, i.status, i.parked) = 0 AND i.not_before <= v_now
                AND (p_passed IS NULL OR NOT runs_one_of@(p_passed, i.kind, i.name))
                AND (i.owner = 0 OR EXISTS (SELECT 1 FROM host h WHERE h.token = i.owner AND (h.dead OR h.leaving)))
            ORDER BY w.due, w.seq LIMIT p_limit
        ) d;
    END IF;
    IF v_found IS NULL THEN RETURN '{}'; END IF;

    WITH mine AS (
        UPDATE instance i SET owner = p_token
        FROM (
            SELECT f.n FROM instance f
            WHERE f.n IN (SELECT unnest(v_found)) AND f.hub = p_hub AND f.owner <> p_token
                AND (f.owner = 0 OR EXISTS (SELECT 1 FROM host h WHERE h.token = f.owner AND (h.dead OR h.leaving)))
            LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED
        ) f WHERE i.n = f.n RETURNING i.n
    )
    SELECT array_agg(n) INTO v_found FROM mine;
    RETURN coalesce(v_found, '{}');
END $body$;

-- Instances of this host with the first rows of their inboxes, as one moment shows them.
CREATE FUNCTION load@(p_token bigint, p_hub integer, p_numbers bigint[], p_window integer) RETURNS TABLE (
    n bigint, id text, kind integer, name text, version text, generation integer, turn integer, status integer,
    owner bigint, created bigint, started bigint, updated bigint, completed bigint, parent_n bigint,
    parent_generation integer, parent_task integer, parent_id text, parked text, suspect integer, not_before bigint,
    lock_holder bigint, "cursor" integer, first_turn integer, tags text, input text, output text, custom_status text,
    state text, seqs bigint[], bodies text[], generations integer[], tasks integer[], dues bigint[]
) LANGUAGE plpgsql @plan@ AS $body$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT i.n, i.id, i.kind, i.name, i.version, i.generation, i.turn, i.status, i.owner, i.created, i.started,
        i.updated, i.completed, i.parent_n, i.parent_generation, i.parent_task, i.parent_id, i.parked, i.suspect,
        i.not_before, i.lock_holder, i."cursor", i.first_turn, i.tags, i.input, i.output, i.custom_status, i.state, w.*
    FROM unnest(p_numbers) WITH ORDINALITY AS u (n, o)
    JOIN instance i ON i.n = u.n AND i.hub = p_hub AND i.owner = p_token
    CROSS JOIN LATERAL (
        SELECT array_agg(r.seq ORDER BY r.seq), array_agg(r.body ORDER BY r.seq), array_agg(r.generation ORDER BY r.seq),
            array_agg(r.task ORDER BY r.seq), array_agg(r.due ORDER BY r.seq)
        FROM (SELECT * FROM inbox x WHERE x.n = i.n ORDER BY x.seq LIMIT p_window) r
    ) w
    ORDER BY u.o;
END $body$;

CREATE FUNCTION read_inbox@(p_n bigint, p_after bigint, p_window integer)
RETURNS TABLE (seq bigint, body text, generation integer, task integer, due bigint) LANGUAGE plpgsql @plan@ AS $body$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT w.seq, w.body, w.generation, w.task, w.due FROM inbox w
    WHERE w.n = p_n AND w.seq > p_after ORDER BY w.seq LIMIT p_window;
END $body$;

CREATE FUNCTION read_history@(p_n bigint, p_generation integer) RETURNS SETOF text LANGUAGE plpgsql @plan@ AS $body$
BEGIN
    RETURN QUERY SELECT h.body FROM history h WHERE h.n = p_n AND h.generation = p_generation ORDER BY h.turn;
END $body$;

-- Where these activities of a generation are, by task.
CREATE FUNCTION open_activities@(p_n bigint, p_generation integer, p_tasks integer[]) RETURNS TABLE (task integer,
    owner bigint, suspect integer, not_before bigint, began bigint, finished bigint, worker text)
LANGUAGE plpgsql @plan@ AS $body$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT w.task, w.owner, w.suspect, w.not_before, coalesce(a.started, 0), coalesce(a.finished, 0),
        coalesce(a.worker, '')
    FROM work w LEFT JOIN attempt a ON a.n = w.n AND a.generation = w.generation AND a.task = w.task
        AND a.attempt = w.attempt AND a.host = w.owner
    WHERE w.n = p_n AND w.generation = p_generation AND w.task = ANY (p_tasks) ORDER BY w.task;
END $body$;

-- What waits for instances of this host.
CREATE FUNCTION waiting@(p_token bigint, p_hub integer, p_window integer) RETURNS TABLE (n bigint, seq bigint)
LANGUAGE plpgsql @plan@ AS $body$
#variable_conflict use_column
DECLARE v_now bigint := now_us();
BEGIN
    RETURN QUERY
    WITH RECURSIVE numbers AS (
        SELECT (SELECT w.n FROM inbox w WHERE w.hub = p_hub AND w.due = 0 AND NOT w.held ORDER BY w.n LIMIT 1) AS n
        UNION ALL
        SELECT (SELECT w.n FROM inbox w WHERE w.hub = p_hub AND w.due = 0 AND NOT w.held AND w.n > o.n
            ORDER BY w.n LIMIT 1)
        FROM numbers o WHERE o.n IS NOT NULL
    ), own AS MATERIALIZED (
        SELECT i.n, least_control(i.kind, i.status, i.parked) AS least
        FROM numbers o CROSS JOIN LATERAL (SELECT * FROM instance x WHERE x.n = o.n OFFSET 0) i
        WHERE i.owner = p_token AND i.not_before <= v_now
    ), able AS MATERIALIZED (
        SELECT o.n FROM own o WHERE o.least = 0 OR EXISTS (
            SELECT 1 FROM inbox w WHERE w.hub = p_hub AND w.n = o.n AND w.due = 0 AND NOT w.held
                AND w.control >= o.least)
    ), waits AS (
        (SELECT o.n, w.seq FROM able o
        CROSS JOIN LATERAL (SELECT x.seq FROM inbox x WHERE x.n = o.n AND x.due = 0 OFFSET 0) w LIMIT p_window)
        UNION ALL
        (SELECT w.n, w.seq FROM inbox w
        CROSS JOIN LATERAL (SELECT * FROM instance x WHERE x.n = w.n OFFSET 0) i
        WHERE w.hub = p_hub AND w.due > 0 AND NOT w.held AND w.due <= v_now AND i.owner = p_token
            AND i.not_before <= v_now AND least_control(i.kind, i.status, i.parked) = 0 LIMIT p_window)
        UNION ALL
        (SELECT i.n, 0 FROM instance i
        WHERE i.hub = p_hub AND i.parked IS NULL AND i.status IN (0, 2, 6)
            AND (i."cursor" > 0 OR (i.first_turn = 0 AND i.kind = 0)) AND i.owner = p_token AND i.not_before <= v_now
        LIMIT p_window)
    )
    SELECT a.n, a.seq FROM waits a ORDER BY a.seq, a.n LIMIT p_window;
END $body$;

CREATE FUNCTION due_timers@(p_token bigint, p_hub integer, p_until bigint, p_limit integer)
RETURNS TABLE (due bigint, seq bigint, n bigint) LANGUAGE plpgsql @plan@ AS $body$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT w.due, w.seq, w.n FROM inbox w
        CROSS JOIN LATERAL (SELECT * FROM instance x WHERE x.n = w.n OFFSET 0) i
    WHERE w.hub = p_hub AND w.due > 0 AND NOT w.held AND w.due <= p_until
        AND least_control(i.kind, i.status, i.parked) = 0
        AND (i.owner IN (0, p_token) OR EXISTS (SELECT 1 FROM host h WHERE h.token = i.owner AND (h.dead OR h.leaving)))
    ORDER BY w.due, w.seq LIMIT p_limit;
END $body$;

-- Claim the oldest activities that no living host has claimed. A request that is repeated finds what it claimed before:
-- two of one host wait for each other, so an answer that got lost is never in doubt.
CREATE FUNCTION claim_work@(p_token bigint, p_hub integer, p_request bigint, p_keys text[], p_limit integer)
RETURNS TABLE (n bigint, generation integer, task integer, function text, input text, attempt integer, id text,
    suspect integer, not_before bigint, scheduled bigint, tags text) LANGUAGE plpgsql @plan@ AS $body$
#variable_conflict use_column
DECLARE v_now bigint := now_us();
BEGIN
    PERFORM pg_advisory_xact_lock(1885693029, p_token::integer);
    PERFORM 1 FROM host WHERE token = p_token AND NOT dead;
    IF NOT FOUND THEN RETURN; END IF;
    WITH RECURSIVE owners AS (
        SELECT (SELECT w.owner FROM work w WHERE w.hub = p_hub ORDER BY w.owner LIMIT 1) AS owner
        UNION ALL
        SELECT (SELECT w.owner FROM work w WHERE w.hub = p_hub AND w.owner > o.owner ORDER BY w.owner LIMIT 1)
        FROM owners o WHERE o.owner IS NOT NULL
    ), picked AS MATERIALIZED (
        SELECT w.n, w.generation, w.task FROM owners o CROSS JOIN LATERAL (
            SELECT w.n, w.generation, w.task, w.seq FROM work w
            WHERE w.hub = p_hub AND w.owner = o.owner AND w.not_before <= v_now AND w.key = ANY (p_keys)
            ORDER BY w.seq LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED
        ) w
        WHERE o.owner = 0 OR EXISTS (SELECT 1 FROM host h WHERE h.token = o.owner AND h.dead)
        ORDER BY w.seq LIMIT p_limit
    )
    UPDATE work w SET owner = p_token, request = p_request FROM picked p
    WHERE w.n = p.n AND w.generation = p.generation AND w.task = p.task
        AND NOT EXISTS (SELECT 1 FROM work x WHERE x.hub = p_hub AND x.owner = p_token AND x.request = p_request);
    RETURN QUERY
    SELECT w.n, w.generation, w.task, w.function, w.input, w.attempt, i.id, w.suspect, w.not_before, w.scheduled, i.tags
    FROM work w CROSS JOIN LATERAL (SELECT x.id, x.tags FROM instance x WHERE x.n = w.n OFFSET 0) i
    WHERE w.hub = p_hub AND w.owner = p_token AND w.request = p_request ORDER BY w.seq;
END $body$;

-- The latest management operations: of an instance and of purges under its id, or (null) of the whole hub.
CREATE FUNCTION audit@(p_hub integer, p_target text, p_n bigint, p_limit integer) RETURNS SETOF audit
LANGUAGE plpgsql STABLE @plan@ AS $body$
BEGIN
    IF p_target IS NULL THEN
        RETURN QUERY (SELECT a.* FROM audit a WHERE a.hub = p_hub ORDER BY a.number DESC LIMIT p_limit)
            UNION ALL (SELECT a.* FROM audit a WHERE a.hub = 0 ORDER BY a.number DESC LIMIT p_limit)
            ORDER BY number DESC LIMIT p_limit;
    ELSE
        RETURN QUERY SELECT a.* FROM audit a
        WHERE a.n IN (0, p_n) AND a.hub = p_hub AND (a.n <> 0 OR a.instance_id = p_target)
        ORDER BY a.number DESC LIMIT p_limit;
    END IF;
END $body$;

-- Forget a hub that holds no instance and that no host with functions uses; whether it is gone. Numbers of hubs are
-- never used again. Who registers meanwhile waits for the row, and makes a new one.
CREATE FUNCTION delete_hub@(p_hub integer, p_who text, p_result text) RETURNS boolean LANGUAGE plpgsql @plan@ AS $body$
DECLARE v_name text;
BEGIN
    SELECT name INTO v_name FROM hub WHERE number = p_hub FOR UPDATE;
    IF EXISTS (SELECT 1 FROM host h WHERE h.hub = p_hub AND NOT h.dead AND h.names <> '{}')
        OR EXISTS (SELECT 1 FROM instance i WHERE i.hub = p_hub) THEN
        RETURN false;
    END IF;
    DELETE FROM setting WHERE hub = p_hub;
    DELETE FROM audit WHERE hub = p_hub;
    DELETE FROM host WHERE hub = p_hub;
    DELETE FROM hub WHERE number = p_hub;
    IF v_name IS NOT NULL AND p_who <> '' THEN
        INSERT INTO audit (hub, n, instance_id, time, operation, who, result)
        VALUES (0, 0, v_name, now_us(), 'deleteTaskHub', p_who, p_result);
    END IF;
    RETURN true;
END $body$;

CREATE FUNCTION find@(p_hub integer, p_ids text[]) RETURNS SETOF instance LANGUAGE plpgsql @plan@ AS $body$
BEGIN
    RETURN QUERY SELECT i.* FROM unnest(p_ids) WITH ORDINALITY AS u (id, o)
    JOIN instance i ON i.hub = p_hub AND i.id = u.id COLLATE "C" ORDER BY u.o;
END $body$;

-- How far one step of a walk may look: the key that stands p_window instances after a key; the end when fewer are left.
-- `more`: there is something behind it.
CREATE FUNCTION bound@(
    p_hub integer, p_order text, p_created bigint, p_after bigint, p_id text, p_window integer, p_to bigint,
    p_statuses integer[], p_prefix text, OUT created bigint, OUT n bigint, OUT id text, OUT more boolean
) LANGUAGE plpgsql STABLE @walk@ AS $body$
BEGIN
    IF p_order = 'created' THEN
        SELECT i.created, i.n, NULL, true FROM instance i
        WHERE i.hub = p_hub AND (i.created, i.n) > (p_created, p_after) AND i.created <= p_to
        ORDER BY i.created, i.n OFFSET p_window LIMIT 1 INTO created, n, id, more;
    ELSIF p_order = 'id' THEN
        SELECT NULL, NULL, i.id, true FROM instance i
        WHERE i.hub = p_hub AND i.id >= p_id AND i.id < p_prefix || U&'\+10FFFF'
        ORDER BY i.id OFFSET p_window LIMIT 1 INTO created, n, id, more;
    ELSE
        SELECT NULL, min(f.n), NULL, min(f.n) IS NOT NULL FROM unnest(p_statuses) AS s (status) CROSS JOIN LATERAL (
            SELECT i.n FROM instance i WHERE i.hub = p_hub AND i.status = s.status AND i.n > p_after
            ORDER BY i.n OFFSET p_window LIMIT 1
        ) f INTO created, n, id, more;
    END IF;
    more := coalesce(more, false);
    created := coalesce(created, p_to);
    n := coalesce(n, 9223372036854775807);
    id := coalesce(id, coalesce(p_prefix, '') || U&'\+10FFFF');
END $body$;

-- One step of a listing, in one of three orders, from a key on; null filters nothing. A last row without a number says
-- up to where it looked, when there is more behind.
CREATE FUNCTION page@(
    p_hub integer, p_order text, p_created bigint, p_after bigint, p_id text, p_window integer, p_to bigint,
    p_statuses integer[], p_prefix text, p_from bigint, p_name text, p_parent text, p_tags jsonb, p_kinds integer[],
    p_top integer, p_payloads boolean, p_room bigint
) RETURNS TABLE (
    n bigint, id text, kind integer, name text, version text, generation integer, turn integer, status integer,
    owner bigint, created bigint, started bigint, updated bigint, completed bigint, parent_n bigint,
    parent_generation integer, parent_task integer, parent_id text, parked text, suspect integer, not_before bigint,
    lock_holder bigint, "cursor" integer, first_turn integer, tags text, input text, output text, custom_status text,
    state text, last_created bigint, last_n bigint, last_id text
) LANGUAGE plpgsql STABLE @walk@ AS $body$
#variable_conflict use_column
DECLARE
    b record; v_found bigint[]; v_shown bigint;
BEGIN
    b := bound@(p_hub, p_order, p_created, p_after, p_id, p_window, p_to, p_statuses, p_prefix);
    IF p_order = 'created' THEN
        v_found := ARRAY(SELECT i.n FROM instance i
            WHERE i.hub = p_hub AND (i.created, i.n) > (p_created, p_after) AND (i.created, i.n) <= (b.created, b.n)
                AND (p_statuses IS NULL OR i.status = ANY (p_statuses)) AND @matching@
            ORDER BY i.created, i.n LIMIT p_top);
    ELSIF p_order = 'id' THEN
        v_found := ARRAY(SELECT i.n FROM instance i
            WHERE i.hub = p_hub AND i.id >= p_id AND i.id <= b.id AND starts_with(i.id, p_prefix)
                AND i.created + 0 BETWEEN p_from AND p_to
                AND (p_statuses IS NULL OR i.status = ANY (p_statuses)) AND @matching@
            ORDER BY i.id LIMIT p_top);
    ELSE
        v_found := ARRAY(SELECT f.n FROM unnest(p_statuses) AS s (status) CROSS JOIN LATERAL (
                SELECT i.n FROM instance i
                WHERE i.hub = p_hub AND i.status = s.status AND i.n > p_after AND i.n <= b.n
                    AND i.created + 0 BETWEEN p_from AND p_to AND @matching@
                ORDER BY i.n LIMIT p_top
            ) f ORDER BY f.n LIMIT p_top);
    END IF;
    RETURN QUERY
    SELECT i.n, i.id, i.kind, i.name, i.version, i.generation, i.turn, i.status, i.owner, i.created, i.started,
        i.updated, i.completed, i.parent_n, i.parent_generation, i.parent_task, i.parent_id, i.parked, i.suspect,
        i.not_before, i.lock_holder, i."cursor", i.first_turn, i.tags, CASE WHEN p_payloads THEN i.input END,
        CASE WHEN p_payloads THEN i.output END, CASE WHEN p_payloads THEN i.custom_status END,
        CASE WHEN p_payloads THEN i.state END, NULL::bigint, NULL::bigint, NULL::text
    FROM (
        SELECT w.n, w.o, sum(w.size) OVER (ORDER BY w.o) - w.size AS before FROM (
            SELECT u.n, u.o, CASE WHEN p_payloads THEN coalesce(octet_length(x.input), 0)
                + coalesce(octet_length(x.output), 0) + coalesce(octet_length(x.custom_status), 0)
                + coalesce(octet_length(x.state), 0) ELSE 0 END AS size
            FROM unnest(v_found) WITH ORDINALITY AS u (n, o) JOIN instance x ON x.n = u.n
        ) w
    ) f JOIN instance i ON i.n = f.n WHERE f.before <= p_room ORDER BY f.o;
    GET DIAGNOSTICS v_shown = ROW_COUNT;
    IF v_shown < coalesce(array_length(v_found, 1), 0) THEN
        -- the rest has no room on this page
        SELECT i.created, i.n, i.id INTO last_created, last_n, last_id FROM instance i WHERE i.n = v_found[v_shown];
        RETURN NEXT;
    ELSIF b.more THEN
        last_created := b.created; last_n := b.n; last_id := b.id;
        RETURN NEXT;
    END IF;
END $body$;

-- One step of a count by status and, if asked for, name; the last row, without a number, as in page@.
CREATE FUNCTION count@(
    p_hub integer, p_order text, p_created bigint, p_after bigint, p_id text, p_window integer, p_to bigint,
    p_statuses integer[], p_prefix text, p_from bigint, p_name text, p_parent text, p_tags jsonb, p_kinds integer[],
    p_by_name boolean
) RETURNS TABLE (name text, status integer, number bigint, last_created bigint, last_n bigint, last_id text)
LANGUAGE plpgsql STABLE @walk@ AS $body$
#variable_conflict use_column
DECLARE
    b record;
BEGIN
    b := bound@(p_hub, p_order, p_created, p_after, p_id, p_window, p_to, p_statuses, p_prefix);
    IF p_order = 'created' THEN
        RETURN QUERY SELECT f.name, f.status, count(*), NULL::bigint, NULL::bigint, NULL::text FROM (
            SELECT CASE WHEN p_by_name THEN i.name ELSE '' END AS name, i.status FROM instance i
            WHERE i.hub = p_hub AND (i.created, i.n) > (p_created, p_after) AND (i.created, i.n) <= (b.created, b.n)
                AND (p_statuses IS NULL OR i.status = ANY (p_statuses)) AND @matching@
            ORDER BY i.created, i.n OFFSET 0
        ) f GROUP BY 1, 2;
    ELSIF p_order = 'id' THEN
        RETURN QUERY SELECT f.name, f.status, count(*), NULL::bigint, NULL::bigint, NULL::text FROM (
            SELECT CASE WHEN p_by_name THEN i.name ELSE '' END AS name, i.status FROM instance i
            WHERE i.hub = p_hub AND i.id >= p_id AND i.id <= b.id AND starts_with(i.id, p_prefix)
                AND i.created + 0 BETWEEN p_from AND p_to
                AND (p_statuses IS NULL OR i.status = ANY (p_statuses)) AND @matching@
            ORDER BY i.id OFFSET 0
        ) f GROUP BY 1, 2;
    ELSIF NOT p_by_name AND p_from = 0 AND p_to = 9223372036854775807
        AND coalesce(p_name, p_parent, p_tags::text, p_kinds::text) IS NULL THEN
        -- the index alone
        RETURN QUERY SELECT '', s.status, f.number, NULL::bigint, NULL::bigint, NULL::text
        FROM unnest(p_statuses) AS s (status) CROSS JOIN LATERAL (
            SELECT count(*) AS number FROM (
                SELECT i.n FROM instance i
                WHERE i.hub = p_hub AND i.status = s.status AND i.n > p_after AND i.n <= b.n ORDER BY i.n OFFSET 0) i
        ) f WHERE f.number > 0;
    ELSE
        RETURN QUERY SELECT f.name, s.status, sum(f.number)::bigint, NULL::bigint, NULL::bigint, NULL::text
        FROM unnest(p_statuses) AS s (status) CROSS JOIN LATERAL (
            SELECT i.name, count(*) AS number FROM (
                SELECT CASE WHEN p_by_name THEN i.name ELSE '' END AS name FROM instance i
                WHERE i.hub = p_hub AND i.status = s.status AND i.n > p_after AND i.n <= b.n
                    AND i.created + 0 BETWEEN p_from AND p_to AND @matching@
                ORDER BY i.n OFFSET 0) i
            GROUP BY 1
        ) f GROUP BY 1, 2;
    END IF;
    IF b.more THEN
        last_created := b.created; last_n := b.n; last_id := b.id;
        RETURN NEXT;
    END IF;
END $body$;

-- How many instances have these statuses, counted up to a limit.
CREATE FUNCTION few_of_status@(p_hub integer, p_statuses integer[], p_limit integer) RETURNS integer
LANGUAGE plpgsql @plan@ AS $body$
BEGIN
    RETURN (SELECT count(*) FROM (
        SELECT 1 FROM instance i WHERE i.hub = p_hub AND i.status = ANY (p_statuses) LIMIT p_limit) f);
END $body$;

-- What waits in the hub, each counted up to a limit: activities that no living host has claimed, those that one has,
-- instances with something to do; for how long the oldest of what is not under way has waited (0: there is none), and
-- the living hosts.
CREATE FUNCTION backlog@(p_hub integer, p_most integer, OUT waiting integer, OUT running integer, OUT instances integer,
    OUT oldest bigint, OUT hosts integer) LANGUAGE plpgsql @plan@ AS $body$
DECLARE v_now bigint := now_us(); v_activity bigint;
BEGIN
    WITH RECURSIVE owners AS (
        SELECT (SELECT w.owner FROM work w WHERE w.hub = p_hub ORDER BY w.owner LIMIT 1) AS owner
        UNION ALL
        SELECT (SELECT w.owner FROM work w WHERE w.hub = p_hub AND w.owner > o.owner ORDER BY w.owner LIMIT 1)
        FROM owners o WHERE o.owner IS NOT NULL
    ), claimed AS (
        SELECT EXISTS (SELECT 1 FROM host h WHERE h.token = o.owner AND NOT h.dead) AS by_living,
            (SELECT count(*) FROM (
                SELECT 1 FROM work w WHERE w.hub = p_hub AND w.owner = o.owner LIMIT p_most) f) AS number,
            (SELECT w.scheduled FROM work w WHERE w.hub = p_hub AND w.owner = o.owner ORDER BY w.seq LIMIT 1) AS since
        FROM owners o WHERE o.owner IS NOT NULL
    )
    SELECT least(p_most, coalesce(sum(number) FILTER (WHERE NOT by_living), 0)),
        least(p_most, coalesce(sum(number) FILTER (WHERE by_living), 0)), min(since) FILTER (WHERE NOT by_living)
    INTO waiting, running, v_activity FROM claimed;

    WITH RECURSIVE owners AS (
        SELECT (SELECT i.owner FROM instance i WHERE i.hub = p_hub AND i.parked IS NULL AND i.status IN (0, 2, 6)
            AND (i."cursor" > 0 OR (i.first_turn = 0 AND i.kind = 0)) ORDER BY i.owner LIMIT 1) AS owner
        UNION ALL
        SELECT (SELECT i.owner FROM instance i WHERE i.hub = p_hub AND i.parked IS NULL AND i.status IN (0, 2, 6)
            AND (i."cursor" > 0 OR (i.first_turn = 0 AND i.kind = 0)) AND i.owner > o.owner ORDER BY i.owner LIMIT 1)
        FROM owners o WHERE o.owner IS NOT NULL
    ), starts AS (
        SELECT i.n, CASE WHEN i.status = 6 THEN greatest(i.created, i.not_before) END AS since
        FROM owners o CROSS JOIN LATERAL (
            SELECT * FROM instance i WHERE i.hub = p_hub AND i.parked IS NULL AND i.status IN (0, 2, 6)
                AND (i."cursor" > 0 OR (i.first_turn = 0 AND i.kind = 0))
                AND i.owner = o.owner AND i.not_before <= v_now LIMIT p_most
        ) i WHERE o.owner IS NOT NULL
    ), numbers AS (
        SELECT (SELECT w.n FROM inbox w WHERE w.hub = p_hub AND w.due = 0 AND NOT w.held ORDER BY w.n LIMIT 1) AS n,
            1 AS position
        UNION ALL
        SELECT (SELECT w.n FROM inbox w WHERE w.hub = p_hub AND w.due = 0 AND NOT w.held AND w.n > o.n
            ORDER BY w.n LIMIT 1), o.position + 1
        FROM numbers o WHERE o.n IS NOT NULL AND o.position < p_most
    ), addressees AS (
        SELECT i.n, least_control(i.kind, i.status, i.parked) AS least
        FROM numbers o CROSS JOIN LATERAL (SELECT * FROM instance x WHERE x.n = o.n OFFSET 0) i
        WHERE i.not_before <= v_now
    ), timers AS (
        SELECT w.n, w.due FROM inbox w WHERE w.hub = p_hub AND w.due > 0 AND NOT w.held AND w.due <= v_now
        ORDER BY w.due, w.seq LIMIT p_most
    ), found AS (
        SELECT n, since FROM starts
        UNION ALL SELECT a.n, NULL FROM addressees a WHERE a.least = 0 OR EXISTS (
            SELECT 1 FROM inbox w WHERE w.hub = p_hub AND w.n = a.n AND w.due = 0 AND NOT w.held
                AND w.control >= a.least)
        UNION ALL SELECT n, due FROM timers
    )
    SELECT least(p_most, count(DISTINCT n)), min(since) INTO instances, oldest FROM found;
    oldest := greatest(v_now - least(oldest, v_activity), 0);
    SELECT count(*), coalesce(oldest, 0) INTO hosts, oldest
    FROM host h WHERE h.hub = p_hub AND NOT h.dead AND NOT h.leaving AND h.names <> '{}';
END $body$;

-- Tell who owns these instances now, these hosts (0: all), and for instances that nobody owns all hosts, that something
-- waits; not durable, and not the asker. Who cannot listen finds its counter raised. Clients, which have no functions,
-- are told nothing.
CREATE FUNCTION wake@(p_token bigint, p_hub integer, p_tokens bigint[], p_numbers bigint[], p_channel text)
RETURNS void LANGUAGE plpgsql @plan@ AS $body$
DECLARE v_polling bigint[];
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    WITH owned AS MATERIALIZED (
        SELECT CASE WHEN EXISTS (SELECT 1 FROM host h WHERE h.token = i.owner AND (h.dead OR h.leaving)) THEN 0
            ELSE i.owner END AS owner, i.n
        FROM instance i WHERE i.n = ANY (p_numbers)
        UNION ALL SELECT t, 0 FROM unnest(p_tokens) t
    ), hosts AS MATERIALIZED (
        SELECT h.token, h.listens, array_agg(o.n) AS numbers
        FROM host h JOIN owned o ON o.owner IN (0, h.token)
        WHERE h.hub = p_hub AND NOT h.dead AND NOT h.leaving AND h.token <> p_token AND h.names <> '{}'
        GROUP BY h.token, h.listens
    ), sent AS MATERIALIZED (
        SELECT pg_notify(p_channel || h.token, CASE WHEN cardinality(h.numbers) > 200 THEN '0'
            ELSE array_to_string(h.numbers, ',') END) FROM hosts h WHERE h.listens
    )
    SELECT array_agg(h.token ORDER BY h.token) FILTER (WHERE NOT h.listens) INTO v_polling
    FROM hosts h, (SELECT count(*) FROM sent) s;
    IF v_polling IS NOT NULL THEN
        UPDATE host SET wakes = wakes + 1
        WHERE token IN (SELECT token FROM host WHERE token = ANY (v_polling) ORDER BY token FOR NO KEY UPDATE);
    END IF;
END $body$;
