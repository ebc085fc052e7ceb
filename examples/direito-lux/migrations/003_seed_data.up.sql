-- description: the first tenant and its administrator
-- compatible: >=1.0
-- revert: impossible: users and cases of the first tenant refer to it
INSERT INTO tenants (name, plan) VALUES ('Direito Lux', 'internal');
INSERT INTO users (tenant_id, email, name)
SELECT id, 'admin@direitolux.example', 'Administrator' FROM tenants WHERE name = 'Direito Lux';
