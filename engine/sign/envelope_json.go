package sign

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/airbuild/airbuild/internal/canonjson"
)

// Encode is the envelope's canonical JSON: keys sorted, no white space,
// standard base64, signatures by key id. The same envelope gives the same bytes.
func (e *Envelope) Encode() ([]byte, error) {
	if err := CheckPayloadType(e.PayloadType); err != nil {
		return nil, err
	}
	c := *e
	c.Signatures = append([]EnvelopeSignature{}, e.Signatures...)
	c.sort()
	for _, s := range c.Signatures {
		if err := checkKeyIDText(s.KeyID); err != nil {
			return nil, err
		}
	}
	if c.Payload == nil {
		c.Payload = []byte{} // "", not null
	}
	return canonjson.Compact(c)
}

// checkKeyIDText keeps key ids, which other programs choose, to what needs no
// escapes in JSON and does no harm on a terminal.
func checkKeyIDText(id string) error {
	for _, r := range id {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return errors.New("a key id of the envelope holds what is not plain ASCII")
		}
	}
	if len(id) > maxKeyIDText {
		return fmt.Errorf("a key id of the envelope is longer than %d bytes", maxKeyIDText)
	}
	return nil
}

// ParseEnvelope reads an envelope in any JSON form that DSSE allows: white
// space, both kinds of base64, fields that it does not know, which are
// ignored. What JSON leaves open is refused: a key twice, text that is not
// UTF-8, anything behind the object. Errors wrap ErrUnverified. Nothing in it
// is to be believed before Verify.
func ParseEnvelope(b []byte) (*Envelope, error) {
	if len(b) > MaxEnvelope {
		return nil, refuse("the envelope is longer than %d MiB", MaxEnvelope>>20)
	}
	if !utf8.Valid(b) {
		return nil, refuse("the envelope is not UTF-8")
	}
	p := parser{json.NewDecoder(bytes.NewReader(b))}
	e, err := p.envelope()
	if err == nil {
		err = p.end()
	}
	if err != nil {
		return nil, refuse("this is not a DSSE envelope: %w", err)
	}
	return e, nil
}

// A parser reads an envelope token by token: encoding/json would take the last
// of two equal keys, and keys in other cases.
type parser struct{ dec *json.Decoder }

func (p parser) envelope() (*Envelope, error) {
	e := &Envelope{}
	seen, err := p.object(func(key string) (err error) {
		switch key {
		case "payload":
			e.Payload, err = p.base64()
		case "payloadType":
			e.PayloadType, err = p.string()
		case "signatures":
			e.Signatures, err = p.signatures()
		default:
			err = p.skip(0)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"payload", "payloadType", "signatures"} {
		if !seen[key] {
			return nil, fmt.Errorf("it has no %q", key)
		}
	}
	return e, CheckPayloadType(e.PayloadType)
}

func (p parser) signatures() (sigs []EnvelopeSignature, err error) {
	if err := p.delim('['); err != nil {
		return nil, err
	}
	for p.dec.More() {
		if len(sigs) == MaxSignatures {
			return nil, fmt.Errorf("it has more than %d signatures", MaxSignatures)
		}
		s, err := p.signature()
		if err != nil {
			return nil, err
		}
		sigs = append(sigs, s)
	}
	return sigs, p.delim(']')
}

func (p parser) signature() (s EnvelopeSignature, err error) {
	seen, err := p.object(func(key string) (err error) {
		switch key {
		case "keyid":
			if s.KeyID, err = p.string(); err == nil {
				err = checkKeyIDText(s.KeyID)
			}
		case "sig":
			s.Sig, err = p.base64()
		default:
			err = p.skip(0)
		}
		return err
	})
	switch {
	case err != nil:
		return s, err
	case !seen["sig"]:
		return s, errors.New(`a signature has no "sig"`)
	case len(s.Sig) > 16*ed25519.SignatureSize:
		return s, errors.New("a signature is too long")
	}
	return s, nil
}

// object reads an object; value is called with the decoder at a key's value.
func (p parser) object(value func(key string) error) (seen map[string]bool, err error) {
	if err := p.delim('{'); err != nil {
		return nil, err
	}
	seen = map[string]bool{}
	for p.dec.More() {
		key, err := p.string()
		if err != nil {
			return nil, err
		}
		if seen[key] {
			return nil, fmt.Errorf("the key %.40q is there twice", key)
		}
		seen[key] = true
		if err := value(key); err != nil {
			return nil, err
		}
	}
	return seen, p.delim('}')
}

// maxDepth bounds how deep fields may be nested that are skipped.
const maxDepth = 32

func (p parser) skip(depth int) error {
	if depth > maxDepth {
		return errors.New("it is nested too deep")
	}
	t, err := p.dec.Token()
	if err != nil {
		return err
	}
	switch t {
	case json.Delim('['):
		for p.dec.More() {
			if err := p.skip(depth + 1); err != nil {
				return err
			}
		}
		return p.delim(']')
	case json.Delim('{'):
		for p.dec.More() {
			if _, err := p.string(); err != nil {
				return err
			}
			if err := p.skip(depth + 1); err != nil {
				return err
			}
		}
		return p.delim('}')
	}
	return nil
}

func (p parser) delim(want json.Delim) error {
	t, err := p.dec.Token()
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("want %q", want.String())
	}
	return nil
}

func (p parser) string() (string, error) {
	t, err := p.dec.Token()
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", errors.New("want a text in quotes")
	}
	return s, nil
}

// base64 takes both alphabets, as DSSE allows.
func (p parser) base64() ([]byte, error) {
	s, err := p.string()
	if err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		b, err = base64.URLEncoding.Strict().DecodeString(s)
	}
	if err != nil {
		return nil, errors.New("want base64")
	}
	return b, nil
}

// end refuses anything behind the envelope.
func (p parser) end() error {
	if _, err := p.dec.Token(); err != io.EOF {
		return errors.New("data follows it")
	}
	return nil
}
