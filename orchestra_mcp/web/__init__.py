"""The HTTP door: the gateway and the council for any client, behind one guard; `app` shows the whole of it."""
