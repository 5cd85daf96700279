package engine

// Masked is a text about a step without the step's secrets.
func Masked(text string, s *Step) string { return string(maskLog([]byte(text), s)) }
