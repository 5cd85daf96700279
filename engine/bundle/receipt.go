package bundle

import (
	"fmt"
	"io"

	"github.com/airbuild/airbuild/engine/bundle/internal/format"
)

// ReadReceipt reads what WriteTo wrote. Errors wrap ErrRefused.
func ReadReceipt(r io.Reader) (*Receipt, error) {
	b, err := io.ReadAll(io.LimitReader(r, format.MaxReceipt+1))
	if err != nil {
		return nil, fmt.Errorf("read receipt: %w", err)
	}
	if len(b) > format.MaxReceipt {
		return nil, format.Refusef("read receipt: it has more than %d bytes", format.MaxReceipt)
	}
	return format.DecodeReceipt(b)
}
