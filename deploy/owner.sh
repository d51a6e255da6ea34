#!/bin/sh
# Run by the image of PostgreSQL, once, when it has made a new database: a role of that name owns it, and has nothing else. The superuser has
# no password from then on, so nobody is that over the network; docker compose exec is (psql --username=postgres).
set -e
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres \
  --set=superuser="$POSTGRES_USER" --set=owner="$POSTGRES_DB" --set=password="$POSTGRES_PASSWORD" <<'SQL'
CREATE ROLE :"owner" LOGIN PASSWORD :'password';
ALTER DATABASE :"owner" OWNER TO :"owner";
REVOKE ALL ON DATABASE :"owner", postgres, template1 FROM PUBLIC;
ALTER ROLE :"superuser" PASSWORD NULL;
SQL
