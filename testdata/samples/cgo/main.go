// Command cgo adds two numbers in C.
package main

import (
	"fmt"

	"example.com/cgo/sum"
)

func main() { fmt.Println(sum.Of(40, 2)) }
