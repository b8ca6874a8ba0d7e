package nsenter

func act(role string) error { return nil }
