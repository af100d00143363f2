package main

import (
	"encoding/binary"
	"strconv"
)

// Input is what was asked of an object; which fields count depends on Do.
type Input struct {
	Do       string  `json:"do"`
	Expected int     `json:"expected"`
	IDs      []int64 `json:"ids"`
	After    int     `json:"after"`
	From     int64   `json:"from"`
	Limit    int64   `json:"limit"`
}

// Output is what was answered; nil where no answer ever came.
type Output struct {
	Said      string  `json:"said"`
	Version   int     `json:"version"`
	IDs       []int64 `json:"ids"`
	Positions []int64 `json:"positions"`
	Head      int64   `json:"head"`
}

// step returns every state that may follow: none when the answer cannot be true in this state.
func step(state string, in Input, out *Output) []string {
	switch in.Do {
	case "append":
		return appendToStream(state, in, out)
	case "read":
		return only(state, out != nil && packed(out.IDs) == tail(state, in.After))
	case "do":
		return doOnce(state, in, out)
	default:
		return moveHead(state, in, out)
	}
}

// A stream is the ids of its events, eight bytes each; its version is their number.
func appendToStream(state string, in Input, out *Output) []string {
	fits := version(state) == in.Expected
	after := state + packed(in.IDs)
	switch {
	case out == nil && fits:
		return []string{state, after}
	case out == nil:
		return []string{state}
	case out.Said == "conflict":
		return only(state, !fits)
	default:
		return only(after, fits && out.Version == version(after))
	}
}

// A key is the id of the event of the one command it stands for, or empty.
func doOnce(state string, in Input, out *Output) []string {
	own := packed(in.IDs)
	switch {
	case out == nil && state == "":
		return []string{state, own}
	case out == nil:
		return []string{state}
	case out.Said == "conflict":
		return only(state, state == "")
	case out.Said == "known":
		return only(state, state != "" && state == packed(out.IDs))
	default:
		return only(own, state == "")
	}
}

// The order is the position of the last event, in digits; empty before its first op, "start".
func moveHead(state string, in Input, out *Output) []string {
	if out == nil {
		return nil
	}
	if in.Do == "start" {
		return only(strconv.FormatInt(out.Head, 10), state == "")
	}
	head, err := strconv.ParseInt(state, 10, 64)
	if err != nil {
		return nil
	}
	switch in.Do {
	case "advance":
		for n, position := range out.Positions {
			if position != head+1+int64(n) {
				return nil
			}
		}
		return []string{strconv.FormatInt(head+int64(len(out.Positions)), 10)}
	case "head":
		return only(state, out.Head == head)
	case "page":
		return only(state, isPage(out.Positions, in.From, min(head, in.From+in.Limit-1)))
	}
	return nil
}

func isPage(positions []int64, from, to int64) bool {
	if int64(len(positions)) != max(0, to-from+1) {
		return false
	}
	for n, position := range positions {
		if position != from+int64(n) {
			return false
		}
	}
	return true
}

func only(state string, possible bool) []string {
	if possible {
		return []string{state}
	}
	return nil
}

func packed(ids []int64) string {
	bytes := make([]byte, 0, 8*len(ids))
	for _, id := range ids {
		bytes = binary.BigEndian.AppendUint64(bytes, uint64(id))
	}
	return string(bytes)
}

func version(state string) int { return len(state) / 8 }

func tail(state string, after int) string {
	if after >= version(state) {
		return ""
	}
	return state[8*after:]
}
