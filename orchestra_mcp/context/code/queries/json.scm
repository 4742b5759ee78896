; sections
(document (object (pair key: (_) @name value: [(object (_)) (array (_))]) @section))
(document (object (pair value: (object (pair key: (_) @name value: [(object (_)) (array (_))]) @section))))
