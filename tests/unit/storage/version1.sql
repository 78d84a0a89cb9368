-- A store as release 0.1.0 with schema 1 left it when its host was killed: `waiting` has an event and an activity
-- that nobody has claimed, `done` has completed, `pending` has not begun.
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE attempt (
    n INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    task INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    scheduled INTEGER NOT NULL,
    started INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    host INTEGER NOT NULL,
    worker TEXT NOT NULL,
    failure TEXT,
    PRIMARY KEY (n, generation, task, attempt)
) WITHOUT ROWID;
CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    hub INTEGER NOT NULL,
    n INTEGER NOT NULL,
    instance_id TEXT NOT NULL,
    time INTEGER NOT NULL,
    operation TEXT NOT NULL,
    who TEXT,
    reason TEXT
);
CREATE TABLE change (
    number INTEGER PRIMARY KEY,
    hub INTEGER NOT NULL,
    host INTEGER NOT NULL,
    time INTEGER NOT NULL,
    instances TEXT NOT NULL
);
INSERT INTO "change" VALUES(1,1,1,1767225600000000,'[4294967297]');
INSERT INTO "change" VALUES(2,1,1,1767225600000000,'[4294967297]');
INSERT INTO "change" VALUES(3,1,1,1767225600000000,'[4294967297]');
INSERT INTO "change" VALUES(4,1,1,1767225600000000,'[4294967298]');
INSERT INTO "change" VALUES(5,1,1,1767225600000000,'[4294967298]');
INSERT INTO "change" VALUES(6,1,1,1767225600000000,'[4294967299]');
CREATE TABLE history (
    n INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    format INTEGER NOT NULL,
    flags INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL,
    packed BLOB,
    PRIMARY KEY (n, generation, turn)
) WITHOUT ROWID;
INSERT INTO "history" VALUES(4294967297,0,1,1,0,'[{"EventType":"OrchestratorStarted","Timestamp":1767225600000000},{"EventType":"ExecutionStarted","Name":"Chain","Input":"\"in\""},{"EventType":"TaskScheduled","EventId":0,"Name":"hello"}]',NULL);
INSERT INTO "history" VALUES(4294967298,0,1,1,0,'[{"EventType":"OrchestratorStarted","Timestamp":1767225600000000},{"EventType":"ExecutionStarted","Name":"Chain"},{"EventType":"ExecutionCompleted","Status":1,"Result":"\"out\""}]',NULL);
CREATE TABLE host (
    token INTEGER PRIMARY KEY AUTOINCREMENT,
    hub INTEGER NOT NULL,
    beat INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0,
    swept INTEGER NOT NULL DEFAULT 0,
    number INTEGER NOT NULL DEFAULT 0,
    answer BLOB,
    address TEXT NOT NULL,
    instance_id TEXT NOT NULL,
    names TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    ttl REAL NOT NULL,
    wakes INTEGER NOT NULL DEFAULT 0
);
INSERT INTO "host" VALUES(1,1,6,0,0,6,X'9A06CF0006474846204000C39090919400CF0000000100000003FFC090909090','http://localhost:7071','host','{"orchestration":["Chain"],"activity":["hello"]}','',9.0,0);
CREATE TABLE hub (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    schema INTEGER NOT NULL,
    min_reader INTEGER NOT NULL,
    min_writer INTEGER NOT NULL,
    counter INTEGER NOT NULL DEFAULT 0
);
INSERT INTO "hub" VALUES(0,'',1,1,1,0);
INSERT INTO "hub" VALUES(1,'hub',1,1,1,3);
CREATE TABLE inbox (
    n INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hub INTEGER NOT NULL,
    kind TEXT NOT NULL,
    control INTEGER NOT NULL DEFAULT 0,
    generation INTEGER NOT NULL,
    task INTEGER NOT NULL,
    due INTEGER NOT NULL DEFAULT 0,
    held INTEGER NOT NULL DEFAULT 0,
    body NOT NULL,
    PRIMARY KEY (n, lane, seq)
) WITHOUT ROWID;
INSERT INTO "inbox" VALUES(4294967297,0,2,1,'EventRaised',0,-1,-1,0,0,'{"EventType":"EventRaised","Name":"go","Input":"\"now\"","Timestamp":1767225600000000}');
CREATE TABLE instance (
    n INTEGER PRIMARY KEY,
    hub INTEGER NOT NULL,
    id TEXT NOT NULL,
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    generation INTEGER NOT NULL DEFAULT 0,
    turn INTEGER NOT NULL DEFAULT 0,
    status INTEGER NOT NULL,
    owner INTEGER NOT NULL DEFAULT 0,
    ready INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0,
    first_turn INTEGER NOT NULL DEFAULT 0,
    cursor INTEGER NOT NULL DEFAULT 0,
    suspect INTEGER NOT NULL DEFAULT 0,
    parked TEXT,
    lock_holder INTEGER NOT NULL DEFAULT 0,
    parent_n INTEGER NOT NULL DEFAULT 0,
    parent_generation INTEGER NOT NULL DEFAULT 0,
    parent_task INTEGER NOT NULL DEFAULT -1,
    parent_id TEXT,
    created INTEGER NOT NULL,
    started INTEGER NOT NULL DEFAULT 0,
    updated INTEGER NOT NULL,
    completed INTEGER NOT NULL DEFAULT 0,
    tags TEXT,
    input,
    output,
    custom_status,
    state
);
INSERT INTO "instance" VALUES(4294967297,1,'waiting',0,'Chain','',0,1,0,1,1,0,1,0,0,NULL,0,0,0,-1,NULL,1767225600000000,0,1000,0,'{"team":"x"}','"in"',NULL,NULL,NULL);
INSERT INTO "instance" VALUES(4294967298,1,'done',0,'Chain','',0,1,1,1,0,0,1,0,0,NULL,0,0,0,-1,NULL,1767225600000000,0,1000,1767225600000005,NULL,3,'"out"',NULL,NULL);
INSERT INTO "instance" VALUES(4294967299,1,'pending',0,'Chain','',0,0,6,0,1,0,0,0,0,NULL,0,0,0,-1,NULL,1767225600000000,0,1767225600000000,0,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE payload (
    number INTEGER PRIMARY KEY,
    n INTEGER NOT NULL,
    format INTEGER NOT NULL,
    body NOT NULL
);
INSERT INTO "payload" VALUES(3,4294967298,1,'"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"');
CREATE TABLE setting (
    hub INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (hub, kind, key)
) WITHOUT ROWID;
INSERT INTO "setting" VALUES(1,'timer','tick','1');
CREATE TABLE work (
    n INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    task INTEGER NOT NULL,
    hub INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    function TEXT NOT NULL,
    input,
    owner INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 1,
    suspect INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0,
    scheduled INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (n, generation, task)
) WITHOUT ROWID;
INSERT INTO "work" VALUES(4294967297,0,0,1,1,'Hello','1',0,1,0,0,0);
CREATE INDEX host_living ON host (hub, token) WHERE dead = 0;
CREATE INDEX host_unswept ON host (token) WHERE dead = 1 AND swept = 0;
CREATE UNIQUE INDEX instance_id ON instance (hub, id);
CREATE INDEX instance_created ON instance (hub, created, n);
CREATE INDEX instance_status ON instance (hub, status, n);
CREATE INDEX instance_ready ON instance (hub, owner, not_before) WHERE ready = 1;
CREATE INDEX inbox_due ON inbox (hub, due, seq) WHERE lane = 1 AND held = 0;
CREATE INDEX work_unclaimed ON work (hub, seq) WHERE owner = 0;
CREATE INDEX payload_owner ON payload (n);
CREATE INDEX audit_instance ON audit (n);
CREATE VIEW Instances AS
SELECT
    i.id AS id,
    i.name AS name,
    CASE i.status
        WHEN 0 THEN 'Running' WHEN 1 THEN 'Completed' WHEN 2 THEN 'ContinuedAsNew' WHEN 3 THEN 'Failed'
        WHEN 4 THEN 'Canceled' WHEN 5 THEN 'Terminated' WHEN 6 THEN 'Pending' WHEN 7 THEN 'Suspended'
    END AS status,
    strftime('%Y-%m-%dT%H:%M:%S', i.created / 1000000, 'unixepoch') || printf('.%06dZ', i.created % 1000000) AS created,
    iif(i.started = 0, NULL,
        strftime('%Y-%m-%dT%H:%M:%S', i.started / 1000000, 'unixepoch') || printf('.%06dZ', i.started % 1000000)
    ) AS started,
    strftime('%Y-%m-%dT%H:%M:%S', i.updated / 1000000, 'unixepoch') || printf('.%06dZ', i.updated % 1000000)
        AS last_updated,
    iif(i.completed = 0, NULL,
        strftime('%Y-%m-%dT%H:%M:%S', i.completed / 1000000, 'unixepoch') || printf('.%06dZ', i.completed % 1000000)
    ) AS completed,
    iif(i.completed = 0, NULL, (i.completed - i.created) / 1e6) AS duration,
    CASE typeof(i.custom_status)
        WHEN 'integer' THEN (SELECT p.body FROM payload p WHERE p.number = i.custom_status AND p.format = 1)
        ELSE i.custom_status
    END AS custom_status,
    i.parent_id AS parent,
    i.version AS version,
    iif(i.kind = 1, 'entity', 'orchestration') AS kind,
    printf('%016x%016x', i.n, i.generation) AS execution,
    i.parked AS parked,
    h.name AS hub
FROM hub h CROSS JOIN instance i ON i.hub = h.number;
CREATE VIEW HistoryEvents AS
SELECT
    e.instance AS instance,
    e.execution AS execution,
    row_number() OVER (PARTITION BY e.instance, e.execution ORDER BY e.turn, e.position) AS sequence,
    json_extract(e.event, '$.EventType') AS event_type,
    strftime('%Y-%m-%dT%H:%M:%S', e.at / 1000000, 'unixepoch') || printf('.%06dZ', e.at % 1000000) AS time,
    coalesce(json_extract(e.event, '$.Name'), json_extract(e.event, '$.Operation')) AS name,
    coalesce(json_extract(e.event, '$.ResultSize'), length(json_extract(e.event, '$.Result'))) AS result_size,
    coalesce(
        a.attempt,
        json_extract(e.event, '$.Attempt'),
        iif(json_extract(e.event, '$.EventType') IN ('TaskScheduled', 'SubOrchestrationInstanceCreated'), 1, NULL)
    ) AS attempt,
    coalesce(o.instance_id, a.host) AS host,
    e.task AS task,
    e.at AS microseconds,
    e.hub AS hub
FROM (
    SELECT
        h.name AS hub,
        i.id AS instance,
        printf('%016x%016x', t.n, t.generation) AS execution,
        t.n AS n,
        t.generation AS generation,
        t.turn AS turn,
        v.key AS position,
        v.value AS event,
        coalesce(nullif(json_extract(v.value, '$.Timestamp'), 0), json_extract(t.body, '$[0].Timestamp')) AS at,
        coalesce(
            json_extract(v.value, '$.EventId'),
            json_extract(v.value, '$.TaskScheduledId'),
            json_extract(v.value, '$.TimerId')
        ) AS task,
        json_extract(v.value, '$.EventType') IN ('TaskCompleted', 'TaskFailed') AS ran
    FROM hub h
    CROSS JOIN instance i ON i.hub = h.number
    CROSS JOIN history t ON t.n = i.n
    CROSS JOIN json_each(t.body) v
) e
LEFT JOIN attempt a ON e.ran AND a.n = e.n AND a.generation = e.generation AND a.task = e.task
    AND a.attempt = (
        SELECT max(l.attempt) FROM attempt l WHERE l.n = e.n AND l.generation = e.generation AND l.task = e.task)
LEFT JOIN host o ON o.token = a.host;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('host',1);
COMMIT;
