// Command app prints generated words.
package main

import (
	"fmt"

	"example.com/workspace/lib/text"
)

//go:generate go tool mkconst words.txt words_gen.go

func main() {
	fmt.Println(text.Title(wordRed), text.Title(wordBlue))
}
