"""HTTP: resources, tokens, problem documents, and the dashboard's pages.

May import ``application``, ``projections``, ``audit`` and ``vault``.
"""
