"""Reading FHIR R4 and mapping it to the service's own commands; pure but for the files it reads.

``json_stream`` and ``documents`` turn files of any size into entries; ``index`` reads them once for who is who,
``gather`` reads them again and hands over one person at a time; ``patient``, ``clinical``, ``coverage`` and
``encounter`` map resources, ``intake`` builds the bodies. Nothing of a person is written to disk, and problems name a
place and a reason only.
"""
