"""An Omi over Bluetooth LE: what it says (`protocol`, `assembler`), the way to it (`client`), and a simulated one."""
