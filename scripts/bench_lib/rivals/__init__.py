"""Programs that call an empty function, one for each system, in virtual environments of their own."""
