-- What came of a management operation; the latest ones of a hub.
ALTER TABLE audit ADD COLUMN result TEXT;
CREATE INDEX audit_hub ON audit (hub, number);
