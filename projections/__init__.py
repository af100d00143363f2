"""Read models: views in PostgreSQL, built from the log and from nothing else, so that each can be thrown away.

May import ``domain``, ``postgres`` and ``vault``. One module per view holds its tables, its handlers and its queries:
``people``, ``worklist``, ``case_page``, ``consents``, ``disclosures``, ``recipients``, ``requests``, ``forget``,
``search_index`` with ``index_epochs``.

- ``base``: what a projection is; ``read_model``: one whose rows are tables; ``writes``, ``copying``: its changes;
- ``positions``: how far each view is; ``purges``: what each view has erased; ``parking``: streams set aside;
- ``health``: how the parts of the workers are; ``view_health``: how each view is;
- ``views``, ``connection``: read access, and waiting for a position; ``paging``, ``rows``: answers of queries;
- ``catalogue``: all of them.

Sealed fields stay sealed in every view.
"""
