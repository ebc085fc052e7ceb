DROP INDEX CONCURRENTLY cases_created_at;
DROP INDEX CONCURRENTLY cases_tenant_status;
DROP INDEX CONCURRENTLY users_created_at;
DROP INDEX CONCURRENTLY users_tenant_email;
