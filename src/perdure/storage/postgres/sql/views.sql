-- What people read with any SQL client; documented in docs/reference/tables.md and stable across versions: the columns
-- of the SQLite store, by the same names. New ones go last. `VIEWS` in migrations.py is raised with every change.

CREATE OR REPLACE VIEW Instances AS
SELECT
    i.id AS id,
    i.name AS name,
    CASE i.status
        WHEN 0 THEN 'Running' WHEN 1 THEN 'Completed' WHEN 2 THEN 'ContinuedAsNew' WHEN 3 THEN 'Failed'
        WHEN 4 THEN 'Canceled' WHEN 5 THEN 'Terminated' WHEN 6 THEN 'Pending' WHEN 7 THEN 'Suspended'
    END AS status,
    to_char(timestamp 'epoch' + i.created * interval '1 microsecond', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created,
    to_char(timestamp 'epoch' + nullif(i.started, 0) * interval '1 microsecond', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        AS started,
    to_char(timestamp 'epoch' + i.updated * interval '1 microsecond', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS last_updated,
    to_char(timestamp 'epoch' + nullif(i.completed, 0) * interval '1 microsecond', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        AS completed,
    ((nullif(i.completed, 0) - i.created) / 1e6)::double precision AS duration,
    i.custom_status AS custom_status,
    i.parent_id AS parent,
    i.version AS version,
    CASE i.kind WHEN 1 THEN 'entity' ELSE 'orchestration' END AS kind,
    lpad(to_hex(i.n), 16, '0') || lpad(to_hex(i.generation), 16, '0') AS execution,
    i.parked AS parked,
    h.name AS hub
FROM hub h JOIN instance i ON i.hub = h.number;

-- A NUL in a name is no character of a database: it is shown as U+FFFD.
CREATE OR REPLACE VIEW HistoryEvents AS
SELECT
    e.instance AS instance,
    e.execution AS execution,
    row_number() OVER (PARTITION BY e.instance, e.execution ORDER BY e.turn, e.position) AS sequence,
    e.event ->> 'EventType' AS event_type,
    to_char(timestamp 'epoch' + e.at * interval '1 microsecond', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS time,
    coalesce(e.event ->> 'Name', e.event ->> 'Operation') AS name,
    coalesce((e.event ->> 'ResultSize')::integer, length(e.event ->> 'Result')) AS result_size,
    coalesce(
        a.attempt,
        (e.event ->> 'Attempt')::integer,
        CASE WHEN e.event ->> 'EventType' IN ('TaskScheduled', 'SubOrchestrationInstanceCreated') THEN 1 END
    ) AS attempt,
    coalesce(o.instance_id, a.host::text) AS host,
    e.task AS task,
    e.at AS microseconds,
    e.hub AS hub
FROM (
    SELECT
        h.name AS hub,
        i.id AS instance,
        lpad(to_hex(t.n), 16, '0') || lpad(to_hex(t.generation), 16, '0') AS execution,
        t.n AS n,
        t.generation AS generation,
        t.turn AS turn,
        v.position AS position,
        v.event AS event,
        coalesce(nullif((v.event ->> 'Timestamp')::bigint, 0), (b.events -> 0 ->> 'Timestamp')::bigint) AS at,
        coalesce(v.event ->> 'EventId', v.event ->> 'TaskScheduledId', v.event ->> 'TimerId')::integer AS task
    FROM hub h
    JOIN instance i ON i.hub = h.number
    JOIN history t ON t.n = i.n
    CROSS JOIN LATERAL (
        SELECT CASE WHEN strpos(t.body, '\u0000') = 0 THEN t.body
            ELSE regexp_replace(t.body, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g') END::json AS events
    ) b
    CROSS JOIN LATERAL json_array_elements(b.events) WITH ORDINALITY AS v (event, position)
) e
LEFT JOIN LATERAL (
    SELECT l.attempt, l.host FROM attempt l
    WHERE e.event ->> 'EventType' IN ('TaskCompleted', 'TaskFailed')
        AND l.n = e.n AND l.generation = e.generation AND l.task = e.task
    ORDER BY l.attempt DESC LIMIT 1
) a ON true
LEFT JOIN host o ON o.token = a.host;

CREATE OR REPLACE VIEW ManagementOperations AS
SELECT
    a.instance_id AS instance,
    to_char(timestamp 'epoch' + a.time * interval '1 microsecond', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS time,
    a.operation AS operation,
    a.who AS who,
    a.reason AS reason,
    a.result AS result,
    h.name AS hub
FROM audit a LEFT JOIN hub h ON h.number = a.hub;
