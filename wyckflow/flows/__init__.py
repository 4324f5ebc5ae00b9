"""Flow makers: dataclasses of makers that wire outputs."""
