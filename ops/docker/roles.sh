#!/bin/sh
# Makes the roles and databases of one PostgreSQL cluster, once, when its volume is new (docker-entrypoint-initdb.d).
# CASEKEEPER_DATABASES: the databases of this cluster; CASEKEEPER_OWNER_PASSWORD, CASEKEEPER_API_PASSWORD and
# CASEKEEPER_WORKER_PASSWORD: the passwords of its three roles. The same as ops/roles.py does for embedded clusters;
# rights on tables are given by `casekeeper migrate`.
set -eu

run() {
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$1" \
        --set owner_password="$CASEKEEPER_OWNER_PASSWORD" --set api_password="$CASEKEEPER_API_PASSWORD" \
        --set worker_password="$CASEKEEPER_WORKER_PASSWORD" --set database="${2:-}"
}

run postgres <<'SQL'
CREATE ROLE casekeeper_owner LOGIN NOSUPERUSER NOCREATEROLE PASSWORD :'owner_password';
CREATE ROLE casekeeper_api LOGIN NOSUPERUSER NOCREATEROLE PASSWORD :'api_password';
CREATE ROLE casekeeper_worker LOGIN NOSUPERUSER NOCREATEROLE PASSWORD :'worker_password';
-- Errors of their sessions are not logged here: the first line of one can quote what was sent.
ALTER ROLE casekeeper_owner SET log_min_messages = 'log';
ALTER ROLE casekeeper_api SET log_min_messages = 'log';
ALTER ROLE casekeeper_worker SET log_min_messages = 'log';
SQL

for database in $CASEKEEPER_DATABASES; do
    run postgres "$database" <<'SQL'
CREATE DATABASE :"database" OWNER casekeeper_owner;
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE :"database" TO casekeeper_api, casekeeper_worker;
SQL
    run "$database" <<'SQL'
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO casekeeper_owner;
GRANT USAGE ON SCHEMA public TO casekeeper_api, casekeeper_worker;
SQL
    if [ "$database" = casekeeper_views ]; then
        run "$database" <<'SQL'
GRANT CREATE ON SCHEMA public TO casekeeper_worker;
ALTER DEFAULT PRIVILEGES FOR ROLE casekeeper_worker IN SCHEMA public GRANT SELECT ON TABLES TO casekeeper_api;
SQL
    fi
done
