-- Version 13: what version 12 has sealed is not kept as it was.

DROP TABLE plates_11;
DROP TABLE cards_11;
