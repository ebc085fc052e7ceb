-- description: indexes on tenant, e-mail, creation and status
-- compatible: >=1.0
CREATE UNIQUE INDEX CONCURRENTLY users_tenant_email ON users (tenant_id, email);
CREATE INDEX CONCURRENTLY users_created_at ON users (created_at);
CREATE INDEX CONCURRENTLY cases_tenant_status ON cases (tenant_id, status);
CREATE INDEX CONCURRENTLY cases_created_at ON cases (created_at);
