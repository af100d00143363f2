// Command linearizability reads a history as JSON lines on its standard input and checks it with Porcupine.
//
// A line is {"object", "client", "call", "return", "input", "output"}; times in nanoseconds of one clock; "return" and
// "output" are null where no answer ever came. It prints each object whose history is not linearizable and a last line
// {"objects", "operations", "illegal", "undecided"}. The exit status is 0 when there is none of either.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

// Longest that one object may take.
const patience = 60 * time.Second

type line struct {
	Object string  `json:"object"`
	Client int     `json:"client"`
	Call   int64   `json:"call"`
	Return *int64  `json:"return"`
	Input  Input   `json:"input"`
	Output *Output `json:"output"`
}

type verdict struct {
	Objects    int      `json:"objects"`
	Operations int      `json:"operations"`
	Illegal    []string `json:"illegal"`
	Undecided  []string `json:"undecided"`
}

func main() {
	objects, operations, err := read(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	found := verdict{len(objects), operations, []string{}, []string{}}
	for _, name := range sorted(objects) {
		switch porcupine.CheckOperationsTimeout(model(), objects[name], patience) {
		case porcupine.Illegal:
			found.Illegal = append(found.Illegal, name)
			explain(name, objects[name])
		case porcupine.Unknown:
			found.Undecided = append(found.Undecided, name)
		}
	}
	text, _ := json.Marshal(found)
	fmt.Println(string(text))
	if len(found.Illegal)+len(found.Undecided) > 0 {
		os.Exit(1)
	}
}

func model() porcupine.Model {
	made := porcupine.NondeterministicModel{
		Init: func() []interface{} { return []interface{}{""} },
		Step: func(state, input, output interface{}) []interface{} {
			out, _ := output.(*Output)
			next := []interface{}{}
			for _, possible := range step(state.(string), input.(Input), out) {
				next = append(next, possible)
			}
			return next
		},
	}
	return made.ToModel()
}

// read returns the operations of each object; one without an answer lasts longer than everything else.
func read(file *os.File) (map[string][]porcupine.Operation, int, error) {
	objects := map[string][]porcupine.Operation{}
	operations := 0
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 1<<16), 1<<26)
	for lines.Scan() {
		var one line
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return nil, 0, err
		}
		ended := int64(1 << 62)
		if one.Return != nil {
			ended = *one.Return
		}
		operation := porcupine.Operation{
			ClientId: one.Client, Input: one.Input, Call: one.Call, Output: one.Output, Return: ended,
		}
		objects[one.Object] = append(objects[one.Object], operation)
		operations++
	}
	return objects, operations, lines.Err()
}

// explain prints how far the longest order came that Porcupine could find.
func explain(name string, operations []porcupine.Operation) {
	longest := 0
	_, info := porcupine.CheckOperationsVerbose(model(), operations, patience)
	for _, partition := range info.PartialLinearizations() {
		for _, order := range partition {
			longest = max(longest, len(order))
		}
	}
	text, _ := json.Marshal(map[string]any{"object": name, "operations": len(operations), "ordered": longest})
	fmt.Println(string(text))
}

func sorted(objects map[string][]porcupine.Operation) []string {
	names := make([]string, 0, len(objects))
	for name := range objects {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
