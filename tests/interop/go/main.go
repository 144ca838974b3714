// Interop reads a Lockgate audit log with the code of Go's checksum database, golang.org/x/mod/sumdb/{note,tlog}.
//
//	interop log FOLDER VKEY...     an export: every checkpoint's signatures, every root over the records
//	interop tiles PLACE VKEY...    its tile tree: every record's hash and inclusion, read through tiles alone
//	interop proofs < JSON          inclusion and consistency proofs that somebody else made
//
// It shares nothing with Lockgate but the formats. It prints one JSON object; "error" is empty if everything held, and
// only then the exit status is 0.
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8 // C2SP tlog-tiles: 256 hashes wide

type answer struct {
	Error       string   `json:"error"`
	Size        int64    `json:"size"`        // of the newest checkpoint
	Root        string   `json:"root"`        // likewise, base64
	Checkpoints int      `json:"checkpoints"` // how many had the right root
	Signers     []string `json:"signers"`     // key IDs under the newest one, those of known keys
	Strangers   int      `json:"strangers"`   // its signature lines of unknown keys
	Records     int64    `json:"records"`     // found in the tiles, and their inclusion checked
	Failures    []string `json:"failures"`    // of each proof in turn, "" if it held
}

func main() {
	var result answer
	err := run(os.Args[1:], &result)
	if err != nil {
		result.Error = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		panic(err)
	}
	if err != nil {
		os.Exit(1)
	}
}

func run(args []string, result *answer) error {
	switch {
	case len(args) == 1 && args[0] == "proofs":
		return checkProofs(result)
	case len(args) >= 3 && args[0] == "log":
		return checkLog(args[1], args[2:], result)
	case len(args) >= 3 && args[0] == "tiles":
		return checkTiles(args[1], args[2:], result)
	}
	return fmt.Errorf("want log FOLDER VKEY..., tiles PLACE VKEY... or proofs")
}

// storage is the tree's hashes in memory, in the order of tlog's "stored hashes".
type storage []tlog.Hash

func (s storage) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = s[index]
	}
	return hashes, nil
}

func checkLog(folder string, vkeys []string, result *answer) error {
	known, err := verifiers(vkeys)
	if err != nil {
		return err
	}
	roots, last, err := readCheckpoints(filepath.Join(folder, "checkpoints.txt"), known)
	if err != nil {
		return err
	}
	newest, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		return err
	}
	if !bytes.Equal(newest, last) {
		return fmt.Errorf("the checkpoint is not the last of checkpoints.txt")
	}
	tree, err := readTree(newest, known, result)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(folder, "records.jsonl"))
	if err != nil {
		return err
	}
	lines := bytes.Split(data, []byte("\n"))
	size := int64(len(lines) - 1)
	if len(lines[size]) != 0 {
		return fmt.Errorf("want a newline behind the last record")
	}
	var hashes storage
	for n, line := range lines[:size] {
		n := int64(n)
		stored, err := tlog.StoredHashes(n, line, hashes)
		if err != nil {
			return err
		}
		hashes = append(hashes, stored...)
		want, signed := roots[n+1]
		if !signed {
			continue
		}
		if root, err := tlog.TreeHash(n+1, hashes); err != nil || root != want {
			return fmt.Errorf("the root over %d records is not the signed one: %v", n+1, err)
		}
		result.Checkpoints++
	}
	if size != tree.N || result.Checkpoints != len(roots) {
		return fmt.Errorf("want %d records, as was signed, got %d", tree.N, size)
	}
	return nil
}

// read gives a file of a folder, or what a web server has at a path below an address.
func read(place, path string) ([]byte, error) {
	if !strings.HasPrefix(place, "http://") {
		return os.ReadFile(filepath.Join(place, path))
	}
	answer, err := http.Get(place + "/" + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

func checkTiles(place string, vkeys []string, result *answer) error {
	known, err := verifiers(vkeys)
	if err != nil {
		return err
	}
	newest, err := read(place, "checkpoint")
	if err != nil {
		return err
	}
	tree, err := readTree(newest, known, result)
	if err != nil {
		return err
	}
	// The reader authenticates every tile up to the signed root before it gives a hash out.
	reader := tlog.TileHashReader(tree, tilePlace(place))
	for first := int64(0); first < tree.N; first += 1 << tileHeight {
		records, err := readEntries(place, first, min(tree.N-first, 1<<tileHeight))
		if err != nil {
			return err
		}
		for i, record := range records {
			n := first + int64(i)
			proof, err := tlog.ProveRecord(tree.N, n, reader)
			if err != nil {
				return err
			}
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, n, tlog.RecordHash(record)); err != nil {
				return fmt.Errorf("record %d: %w", n, err)
			}
			result.Records++
		}
	}
	return nil
}

// tilePlace reads tiles by their C2SP paths, which are Go's without the height.
type tilePlace string

func (tilePlace) Height() int { return tileHeight }

func (tilePlace) SaveTiles([]tlog.Tile, [][]byte) {}

func (place tilePlace) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		var err error
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		if data[i], err = read(string(place), path); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// readEntries reads one entry bundle: for each record its length in two bytes, big-endian, and its bytes.
func readEntries(place string, first, count int64) ([][]byte, error) {
	tile := tlog.Tile{H: tileHeight, L: -1, N: first >> tileHeight, W: int(count)}
	path := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
	data, err := read(place, path)
	if err != nil {
		return nil, err
	}
	var records [][]byte
	for len(data) >= 2 {
		length := int(binary.BigEndian.Uint16(data))
		if len(data) < 2+length {
			break
		}
		records = append(records, data[2:2+length])
		data = data[2+length:]
	}
	if len(data) != 0 || int64(len(records)) != count {
		return nil, fmt.Errorf("%s: want %d whole records, got %d", path, count, len(records))
	}
	return records, nil
}

func checkProofs(result *answer) error {
	var asked struct {
		Inclusion []struct {
			Index, Size int64
			Leaf, Root  tlog.Hash
			Path        tlog.RecordProof
		}
		Consistency []struct {
			Old, New         int64
			OldRoot, NewRoot tlog.Hash
			Path             tlog.TreeProof
		}
	}
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return err
	}
	for _, one := range asked.Inclusion {
		err := tlog.CheckRecord(one.Path, one.Size, one.Root, one.Index, one.Leaf)
		result.Failures = append(result.Failures, text(err))
	}
	for _, one := range asked.Consistency {
		err := tlog.CheckTree(one.Path, one.New, one.NewRoot, one.Old, one.OldRoot)
		result.Failures = append(result.Failures, text(err))
	}
	if slices.ContainsFunc(result.Failures, func(failure string) bool { return failure != "" }) {
		return fmt.Errorf("a proof does not hold")
	}
	return nil
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func verifiers(vkeys []string) (note.Verifiers, error) {
	var known []note.Verifier
	for _, vkey := range vkeys {
		verifier, err := note.NewVerifier(vkey)
		if err != nil {
			return nil, err
		}
		known = append(known, verifier)
	}
	return note.VerifierList(known...), nil
}

// readTree opens the newest checkpoint and says in the answer who signed it.
func readTree(signed []byte, known note.Verifiers, result *answer) (tlog.Tree, error) {
	tree, opened, err := openCheckpoint(signed, known)
	if err != nil {
		return tlog.Tree{}, err
	}
	result.Size, result.Root, result.Strangers = tree.N, tree.Hash.String(), len(opened.UnverifiedSigs)
	for _, signature := range opened.Sigs {
		result.Signers = append(result.Signers, fmt.Sprintf("%08x", signature.Hash))
	}
	return tree, nil
}

func openCheckpoint(signed []byte, known note.Verifiers) (tlog.Tree, *note.Note, error) {
	opened, err := note.Open(signed, known)
	if err != nil {
		return tlog.Tree{}, nil, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != opened.Sigs[0].Name {
		return tlog.Tree{}, nil, fmt.Errorf("want three lines, the first the key's name")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || strconv.FormatInt(size, 10) != lines[1] {
		return tlog.Tree{}, nil, fmt.Errorf("want a decimal size")
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, opened, err
}

// readCheckpoints opens every checkpoint of the file: its root by its size, and the bytes of the last.
func readCheckpoints(path string, known note.Verifiers) (map[int64]tlog.Hash, []byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	roots := make(map[int64]tlog.Hash)
	var signed []byte
	// Text, signatures, text, signatures ..., with an empty line between each two.
	parts := bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n\n"))
	if len(parts)%2 != 0 {
		return nil, nil, fmt.Errorf("want signatures below every text")
	}
	for ; len(parts) > 0; parts = parts[2:] {
		signed = slices.Concat(parts[0], []byte("\n\n"), parts[1], []byte("\n"))
		tree, _, err := openCheckpoint(signed, known)
		if err != nil {
			return nil, nil, err
		}
		roots[tree.N] = tree.Hash
	}
	return roots, signed, nil
}
