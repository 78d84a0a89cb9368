-- Every statement of the SQLite store, each under its name. The plans of all of them are asserted by a test.

-- name: begin
BEGIN IMMEDIATE

-- name: commit
COMMIT

-- name: rollback
ROLLBACK

-- name: hub_of_name
SELECT number FROM hub WHERE lower(name) = lower(?1) ORDER BY name = ?1 DESC LIMIT 1

-- name: hub_name
SELECT name FROM hub WHERE number = ?

-- name: add_hub
INSERT INTO hub (number, name, schema, min_reader, min_writer, counter)
SELECT max(max(number), (SELECT counter FROM hub WHERE number = 0)) + 1, ?, max(schema), max(min_reader),
    max(min_writer), max(counter) FROM hub

-- name: using_hosts
SELECT 1 FROM host WHERE hub = ? AND dead = 0 AND names NOT IN ('', '{}') LIMIT 1

-- name: any_instance
SELECT 1 FROM instance WHERE hub = ? LIMIT 1

-- name: keep_counter
UPDATE hub SET counter = max(counter, (SELECT max(max(counter), max(number)) FROM hub)) WHERE number = 0

-- name: drop_settings
DELETE FROM setting WHERE hub = ?

-- name: drop_hub_audit
DELETE FROM audit WHERE hub = ?

-- name: drop_hosts
DELETE FROM host WHERE hub = ?

-- name: drop_hub
DELETE FROM hub WHERE number = ?

-- name: committing_host
SELECT dead, number, (SELECT max(counter) FROM hub) FROM host WHERE token = ?

-- name: set_counter
UPDATE hub SET counter = ? WHERE number = ?

-- name: add_host
INSERT INTO host (hub, address, instance_id, names, fingerprint, ttl) VALUES (?, ?, ?, ?, ?, ?)

-- name: host
SELECT dead, number, answer, beat FROM host WHERE token = ?

-- name: living_hosts
SELECT token, beat, dead, address, instance_id, names, heard, ttl FROM host WHERE hub = ? AND dead = 0 ORDER BY token

-- name: living_tokens
SELECT token FROM host WHERE hub = ? AND dead = 0

-- name: holding_tokens
SELECT token FROM host WHERE hub = ? AND dead = 0 AND names <> ''

-- name: list_functions
UPDATE host SET names = ? WHERE token = ? AND dead = 0

-- name: beat
UPDATE host SET beat = beat + 1, heard = ? WHERE token = ? AND dead = 0

-- name: bury
UPDATE host SET dead = 1 WHERE token = ? AND dead = 0

-- name: bury_silent
UPDATE host SET dead = 1 WHERE token = ? AND dead = 0 AND beat = ?

-- name: unswept_hosts
SELECT token, hub FROM host WHERE dead = 1 AND swept = 0

-- name: mark_swept
UPDATE host SET swept = 1 WHERE token = ?

-- name: claimed_by
SELECT n, generation, task, owner FROM work WHERE hub = ? AND owner = ? AND owner > 0 LIMIT ?

-- name: free_work
UPDATE work SET owner = 0 WHERE n = ? AND generation = ? AND task = ? AND owner = ?

-- name: open_activities
SELECT w.task, w.owner, w.suspect, w.not_before, coalesce(a.started, 0), coalesce(a.finished, 0), coalesce(a.worker, '')
FROM json_each(?) CROSS JOIN work w ON w.n = ? AND w.generation = ? AND w.task = json_each.value
LEFT JOIN attempt a ON a.n = w.n AND a.generation = w.generation AND a.task = w.task AND a.attempt = w.attempt
    AND a.host = w.owner

-- name: record_answer
UPDATE host SET beat = beat + 1, heard = ?, number = ?, answer = ? WHERE token = ?

-- name: add_change
INSERT INTO change (hub, host, time, instances) VALUES (?, ?, ?, ?)

-- name: trim_changes
DELETE FROM change WHERE number <= ?

-- name: changes_since
SELECT number, hub, host, instances FROM change WHERE number > ? ORDER BY number

-- name: last_change
SELECT max(number) FROM change

-- name: standing_by_number
SELECT n, id, owner, kind, turn, generation, status, cursor, parked IS NOT NULL, ready, first_turn,
    (typeof(input) = 'integer') + 2 * (typeof(output) = 'integer')
    + 4 * (typeof(custom_status) = 'integer') + 8 * (typeof(state) = 'integer'),
    parent_n, parent_generation, parent_task
FROM instance WHERE n IN (SELECT value FROM json_each(?)) AND +hub = ?

-- name: standing_by_id
SELECT n, id, owner, kind, turn, generation, status, cursor, parked IS NOT NULL, ready, first_turn,
    (typeof(input) = 'integer') + 2 * (typeof(output) = 'integer')
    + 4 * (typeof(custom_status) = 'integer') + 8 * (typeof(state) = 'integer'),
    parent_n, parent_generation, parent_task
FROM instance WHERE hub = ? AND id IN (SELECT value FROM json_each(?))

-- name: advance
UPDATE instance SET turn = ?, generation = ?, updated = ?, cursor = ?, first_turn = ?, suspect = ?,
    lock_holder = iif(? < 0, lock_holder, ?),
    ready = CASE WHEN ? < 2 THEN ? ELSE EXISTS (
        SELECT 1 FROM inbox w WHERE w.n = instance.n AND w.lane = 0 AND w.control >= ? - 2) END
WHERE n = ?

-- name: advance_all
UPDATE instance SET turn = ?, generation = ?, updated = ?, cursor = ?, first_turn = ?, suspect = ?,
    lock_holder = iif(? < 0, lock_holder, ?),
    ready = CASE WHEN ? < 2 THEN ? ELSE EXISTS (
        SELECT 1 FROM inbox w WHERE w.n = instance.n AND w.lane = 0 AND w.control >= ? - 2) END,
    status = ?,
    started = iif(? = 0, started, ?),
    completed = iif(? = 0, completed, ?),
    output = iif(?, ?, output),
    custom_status = iif(?, ?, custom_status),
    state = iif(?, ?, state),
    input = iif(?, ?, input)
WHERE n = ?

-- name: recheck
UPDATE instance SET ready = CASE WHEN ? < 2 THEN ? ELSE EXISTS (
    SELECT 1 FROM inbox w WHERE w.n = instance.n AND w.lane = 0 AND w.control >= ? - 2) END
WHERE n = ?

-- name: set_ready
UPDATE instance SET ready = 1 WHERE n = ? AND ready = 0

-- name: park
UPDATE instance SET parked = ?, suspect = ? WHERE n = ?

-- name: set_cursor
UPDATE instance SET cursor = ? WHERE n = ?

-- name: release
UPDATE instance SET owner = 0, not_before = max(not_before, ?) WHERE n = ? AND owner = ?

-- name: own
UPDATE instance SET owner = ? WHERE n = ?

-- name: hold
UPDATE inbox SET held = ? WHERE n = ? AND lane = 1

-- name: drop_payload_input
DELETE FROM payload WHERE number = (SELECT input FROM instance WHERE n = ? AND typeof(input) = 'integer')

-- name: drop_payload_output
DELETE FROM payload WHERE number = (SELECT output FROM instance WHERE n = ? AND typeof(output) = 'integer')

-- name: drop_payload_custom_status
DELETE FROM payload WHERE number = (SELECT custom_status FROM instance WHERE n = ? AND typeof(custom_status) = 'integer')

-- name: drop_payload_state
DELETE FROM payload WHERE number = (SELECT state FROM instance WHERE n = ? AND typeof(state) = 'integer')

-- name: add_history
INSERT INTO history (n, generation, turn, format, body, packed) VALUES (?, ?, ?, ?, ?, ?)

-- name: drop_history
DELETE FROM history WHERE n = ? AND generation < ?

-- name: add_payload
INSERT INTO payload (number, n, format, body) VALUES (?, ?, ?, ?)

-- name: payload
SELECT body FROM payload WHERE number = ?

-- name: consume
DELETE FROM inbox WHERE n = ? AND lane IN (0, 1) AND seq = ?

-- name: close_inbox
DELETE FROM inbox WHERE n = ? AND lane = 0

-- name: close_all_timers
DELETE FROM inbox WHERE n = ? AND lane = 1

-- name: drop_work
DELETE FROM work WHERE n = ? AND generation = ? AND task = ?

-- name: close_work
DELETE FROM work WHERE n = ?

-- name: add_work
INSERT OR REPLACE INTO work (n, generation, task, hub, seq, function, input, owner, attempt, suspect, not_before,
    scheduled)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: finish_work
DELETE FROM work WHERE n = ? AND generation = ? AND task = ? AND owner = ?

-- name: return_work
UPDATE work SET owner = 0, suspect = ?, not_before = ? WHERE n = ? AND generation = ? AND task = ? AND owner = ?

-- name: add_instance
INSERT INTO instance (n, hub, id, kind, name, version, status, owner, ready, not_before, parent_n, parent_generation,
    parent_task, parent_id, created, updated, tags, input)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: add_message
INSERT INTO inbox (n, lane, seq, hub, kind, control, generation, task, due, held, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: add_attempt
INSERT OR REPLACE INTO attempt (n, generation, task, attempt, scheduled, started, finished, host, worker, failure)
SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM instance WHERE n = ?)

-- name: any_message
SELECT 1 FROM inbox WHERE n = ? LIMIT 1

-- name: purge_inbox
DELETE FROM inbox WHERE n IN (SELECT value FROM json_each(?))

-- name: purge_history
DELETE FROM history WHERE n IN (SELECT value FROM json_each(?))

-- name: purge_work
DELETE FROM work WHERE n IN (SELECT value FROM json_each(?))

-- name: purge_attempts
DELETE FROM attempt WHERE n IN (SELECT value FROM json_each(?))

-- name: purge_payloads
DELETE FROM payload WHERE n IN (SELECT value FROM json_each(?))

-- name: purge_audit
DELETE FROM audit WHERE n IN (SELECT value FROM json_each(?))

-- name: purge_instance
DELETE FROM instance WHERE n IN (SELECT value FROM json_each(?))

-- name: load
SELECT n, id, kind, name, version, generation, turn, status, owner, created, started, updated, completed,
    parent_n, parent_generation, parent_task, parent_id, parked, suspect, not_before, lock_holder, cursor, first_turn,
    tags, input, output, custom_status, state
FROM instance WHERE n = ? AND +hub = ?

-- name: load_brief
SELECT n, id, kind, name, version, generation, turn, status, owner, created, started, updated, completed,
    parent_n, parent_generation, parent_task, parent_id, parked, suspect, not_before, lock_holder, cursor, first_turn,
    tags, NULL, NULL, NULL, NULL
FROM instance WHERE n = ? AND +hub = ?

-- name: owners_of_ready
SELECT min(owner) FROM instance WHERE hub = ? AND ready = 1 AND owner > ?

-- name: ready_of_owner
SELECT n, kind, name FROM instance WHERE hub = ? AND ready = 1 AND owner = ? AND not_before <= ? ORDER BY not_before

-- name: waiting_starts
SELECT n, 0 FROM instance
WHERE hub = ? AND ready = 1 AND owner = ? AND not_before <= ? AND parked IS NULL AND status IN (0, 6)
    AND (cursor > 0 OR (first_turn = 0 AND kind = 0))
LIMIT ?

-- name: waiting_messages
SELECT i.n, w.seq FROM instance i CROSS JOIN inbox w ON w.n = i.n AND w.lane = 0
WHERE i.hub = ? AND i.ready = 1 AND i.owner = ? AND i.not_before <= ? ORDER BY w.seq LIMIT ?

-- name: waiting_timers
SELECT w.n, w.seq FROM inbox w JOIN instance i ON i.n = w.n
WHERE w.hub = ? AND w.lane = 1 AND w.held = 0 AND w.due <= ? AND i.owner = ? AND i.not_before <= ? LIMIT ?

-- name: due
SELECT w.due, w.seq, w.n, i.owner, i.not_before, i.kind, i.name FROM inbox w JOIN instance i ON i.n = w.n
WHERE w.hub = ? AND w.lane = 1 AND w.held = 0 AND w.due <= ? ORDER BY w.due, w.seq

-- name: read_inbox
SELECT seq, generation, task, due, body FROM inbox WHERE n = ? AND lane = 0 AND seq > ?
UNION ALL
SELECT seq, generation, task, due, body FROM inbox WHERE n = ? AND lane = 1 AND seq > ?
ORDER BY seq LIMIT ?

-- name: unclaimed_work
SELECT w.n, w.generation, w.task, w.function, w.input, w.attempt, i.id, w.suspect, w.not_before, w.scheduled,
    i.tags
FROM work w JOIN instance i ON i.n = w.n
WHERE w.hub = ? AND w.owner = 0 AND w.not_before <= ? AND durable_key(w.function) IN (SELECT value FROM json_each(?))
ORDER BY w.seq LIMIT ?

-- name: claim_work
UPDATE work SET owner = ? WHERE n = ? AND generation = ? AND task = ?

-- name: read_history
SELECT turn, format, body, packed FROM history WHERE n = ? AND generation = ? AND turn > ? ORDER BY turn LIMIT ?

-- name: count_inbox
SELECT (SELECT count(*) FROM inbox WHERE n = ? AND lane = 0)
    + (SELECT count(*) FROM inbox WHERE n = ? AND lane = 1 AND due <= ?)

-- name: find
SELECT n, id, kind, name, version, generation, turn, status, owner, created, started, updated, completed,
    parent_n, parent_generation, parent_task, parent_id, parked, suspect, not_before, lock_holder, cursor, first_turn,
    tags, input, output, custom_status, state
FROM instance WHERE hub = ? AND id = ?

-- name: get_setting
SELECT value FROM setting WHERE hub = ? AND kind = ? AND key = ?

-- name: list_settings
SELECT key, value FROM setting WHERE hub = ? AND kind = ? ORDER BY key

-- name: put_setting
INSERT INTO setting (hub, kind, key, value) VALUES (?, ?, ?, ?)
ON CONFLICT (hub, kind, key) DO UPDATE SET value = excluded.value

-- name: drop_setting
DELETE FROM setting WHERE hub = ? AND kind = ? AND key = ?

-- name: drop_audit
DELETE FROM audit WHERE n = 0 AND hub = ? AND time = ? AND operation = ?

-- name: add_audit
INSERT INTO audit (hub, n, instance_id, time, operation, who, reason, result) VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- name: trim_audit
DELETE FROM audit WHERE n = 0 AND hub = ? AND number <= (
    SELECT number FROM audit WHERE n = 0 AND hub = ? ORDER BY number DESC LIMIT 1 OFFSET ?)

-- name: audit_of_hub
SELECT operation, instance_id, who, time, reason, result, number
FROM (SELECT * FROM audit WHERE hub = ?1 ORDER BY number DESC LIMIT ?2)
UNION ALL
SELECT operation, instance_id, who, time, reason, result, number
FROM (SELECT * FROM audit WHERE hub = 0 ORDER BY number DESC LIMIT ?2)
ORDER BY number DESC LIMIT ?2

-- name: audit_of_instance
SELECT operation, instance_id, who, time, reason, result FROM audit INDEXED BY audit_instance
WHERE n IN (0, ?) AND hub = ? AND (n <> 0 OR instance_id = ?) ORDER BY number DESC LIMIT ?

-- name: few_of_status
SELECT count(*) FROM (SELECT 1 FROM instance WHERE hub = ? AND status IN (SELECT value FROM json_each(?)) LIMIT ?)

-- name: page_of_instant
SELECT n, id, kind, name, status, created, parent_id, tags
FROM instance WHERE hub = ? AND created = ? AND n > ? ORDER BY n

-- name: page_by_created
SELECT n, id, kind, name, status, created, parent_id, tags
FROM instance WHERE hub = ? AND created > ? ORDER BY created, n

-- name: page_by_status
SELECT n, id, kind, name, status, created, parent_id, tags
FROM instance WHERE hub = ? AND status = ? AND n > ? ORDER BY n

-- name: page_by_id
SELECT n, id, kind, name, status, created, parent_id, tags
FROM instance WHERE hub = ? AND id >= ? AND id < ? ORDER BY id

-- name: bound_by_created
SELECT created FROM instance WHERE hub = ? AND created > ? AND created <= ? ORDER BY created LIMIT 1 OFFSET ?

-- name: bound_by_status
SELECT n FROM instance WHERE hub = ? AND status = ? AND n > ? ORDER BY n LIMIT 1 OFFSET ?

-- name: bound_by_id
SELECT id FROM instance WHERE hub = ? AND id >= ? AND id < ? ORDER BY id LIMIT 1 OFFSET ?

-- name: count_in_index
SELECT '', ?2, count(*) FROM instance WHERE hub = ?1 AND status = ?2 AND n > ?3 AND n <= ?4

-- name: count_by_created
SELECT name, status, count(*) FROM instance INDEXED BY instance_created
WHERE hub = ?1 AND created > ?2 AND created <= ?3 AND +status IN (SELECT value FROM json_each(?4))
    AND kind IN (SELECT value FROM json_each(?5)) AND substr(name, 1, length(?6)) = ?6
    AND (?7 IS NULL OR parent_id = ?7)
    AND (?8 IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(?8) w WHERE NOT EXISTS (
        SELECT 1 FROM json_each(instance.tags) h WHERE h.key = w.key AND h.value = w.value)))
GROUP BY name, status

-- name: count_by_status
SELECT name, status, count(*) FROM instance INDEXED BY instance_status
WHERE hub = ?1 AND status = ?2 AND n > ?3 AND n <= ?4
    AND kind IN (SELECT value FROM json_each(?5)) AND substr(name, 1, length(?6)) = ?6
    AND (?7 IS NULL OR parent_id = ?7)
    AND (?8 IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(?8) w WHERE NOT EXISTS (
        SELECT 1 FROM json_each(instance.tags) h WHERE h.key = w.key AND h.value = w.value)))
    AND +created >= ?9 AND +created <= ?10
GROUP BY name

-- name: count_by_id
SELECT name, status, count(*) FROM instance INDEXED BY instance_id
WHERE hub = ?1 AND id >= ?2 AND id < ?3 AND +status IN (SELECT value FROM json_each(?4))
    AND kind IN (SELECT value FROM json_each(?5)) AND substr(name, 1, length(?6)) = ?6
    AND (?7 IS NULL OR parent_id = ?7)
    AND (?8 IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(?8) w WHERE NOT EXISTS (
        SELECT 1 FROM json_each(instance.tags) h WHERE h.key = w.key AND h.value = w.value)))
    AND +created >= ?9 AND +created <= ?10 AND substr(id, 1, length(?11)) = ?11
GROUP BY name, status

-- name: count_unclaimed
SELECT count(*) FROM (SELECT 1 FROM work WHERE hub = ? AND owner = 0 LIMIT ?)

-- name: count_claimed
SELECT count(*) FROM (
    SELECT 1 FROM host h CROSS JOIN work w ON w.hub = h.hub AND w.owner = h.token AND w.owner > 0
    WHERE h.hub = ? AND h.dead = 0 LIMIT ?)

-- name: count_claimed_by_dead
SELECT count(*) FROM (
    SELECT 1 FROM host h CROSS JOIN work w ON w.hub = h.hub AND w.owner = h.token AND w.owner > 0
    WHERE h.dead = 1 AND h.swept = 0 AND h.hub = ? LIMIT ?)

-- name: oldest_unclaimed
SELECT scheduled FROM work WHERE hub = ? AND owner = 0 ORDER BY seq LIMIT 1

-- name: backlog_of_owner
SELECT n FROM instance WHERE hub = ? AND ready = 1 AND owner = ? AND not_before <= ? LIMIT ?

-- name: oldest_start
SELECT min(since) FROM (
    SELECT status, max(created, not_before) AS since FROM instance
    WHERE hub = ? AND ready = 1 AND owner = ? AND not_before <= ? ORDER BY not_before LIMIT ?)
WHERE status = 6

-- name: backlog_of_timers
SELECT due, n FROM inbox WHERE hub = ? AND lane = 1 AND held = 0 AND due <= ? ORDER BY due, seq LIMIT ?

-- name: count_hosts
SELECT count(*) FROM host WHERE hub = ? AND dead = 0 AND names NOT IN ('', '{}')
