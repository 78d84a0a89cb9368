-- What came of a management operation; the latest ones of a hub.
ALTER TABLE audit ADD COLUMN result text;
CREATE INDEX audit_hub ON audit (hub, number);
