"""The least that a durable HTTP write can be: Flask and flask-smorest, one plain row by psycopg2, nothing checked."""

from __future__ import annotations

import os

from flask import Flask, Response, request
from flask_smorest import Api, Blueprint
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT
from psycopg2.pool import ThreadedConnectionPool

DSN, CONNECTIONS = "BENCH_DSN", 32
TABLE = "CREATE TABLE IF NOT EXISTS no_op (position bigserial PRIMARY KEY, body bytea NOT NULL)"
_INSERT = "INSERT INTO no_op (body) VALUES (%s)"


def application() -> Flask:
    """Return the application of this process: ``POST /no-op`` stores its body and answers 201."""
    app = Flask("no-op")
    app.config.update(API_TITLE="no-op", API_VERSION="1", OPENAPI_VERSION="3.1.0")
    pool = ThreadedConnectionPool(CONNECTIONS, CONNECTIONS, os.environ[DSN])
    blueprint = Blueprint("no-op", __name__)

    @blueprint.route("/no-op", methods=["POST"])
    def store() -> Response:
        connection = pool.getconn()
        try:
            connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
            with connection.cursor() as cursor:
                cursor.execute(_INSERT, (request.get_data(),))
        finally:
            pool.putconn(connection)
        return Response('{"stored":true}', 201, content_type="application/json")

    Api(app).register_blueprint(blueprint)
    return app
