package tasks

import "github.com/airbuild/airbuild/engine"

// A KeyNamer is an InputDiscoverer that looks public keys up by their names in the
// keyring. A host without one of them cannot take the step's result from the
// cache: who carries results elsewhere has to say which keys belong to them.
type KeyNamer interface {
	KeyNames() []string
}

// KeyNames are the names of the keys in the keyring that a step looks up.
func KeyNames(s *engine.Step) []string {
	if n, ok := s.Discoverer.(KeyNamer); ok {
		return n.KeyNames()
	}
	return nil
}

// A SecretUser is an InputDiscoverer of a step that needs a secret to run, but not to be
// taken from the cache.
type SecretUser interface {
	// Lacking names the secret, if this host does not have it.
	Lacking() string
}

// LackingSecret names the secret that a step needs to run and that this host
// does not have; "" if there is none.
func LackingSecret(s *engine.Step) string {
	if u, ok := s.Discoverer.(SecretUser); ok {
		return u.Lacking()
	}
	return ""
}
