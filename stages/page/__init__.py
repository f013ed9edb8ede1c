"""The page of `sipf report -o`: one file of HTML with its charts as SVG, made from templates; nothing is fetched.

`render` puts sections into the frame, `charts` draws, and each other module makes one section's data from what
`stages.report` collected or from the files of a run. None imports a model library.
"""
