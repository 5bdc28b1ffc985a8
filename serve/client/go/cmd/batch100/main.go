// SPDX-License-Identifier: Apache-2.0

// Command batch100 asks a server for the forecasts of a hundred virtual machines in one call, as a
// scheduler would, prints them, and then measures how long such calls take.
//
//	batch100 -address 127.0.0.1:8500 -model cpu_forecast -steps 10 -features 4
//	batch100 -address unix:/run/auspex.sock -model cpu_forecast -steps 24 -csv windows.csv
//	batch100 -address 127.0.0.1:8500 -model vm-cpu -steps 24 -csv train/examples/vm-cpu
//
// A CSV file has a header and one line for each machine and time step, oldest first: the machine's
// name, then its features. Of each machine the last -steps lines are its window.
//
// A directory holds one CSV file for each machine, its first column the time. As few machines make no
// batch, -vms windows are cut out of their history, each posing as one machine: the newest of each
// file, then older ones.
//
// Without -csv the windows are made up: a daily wave with noise for each machine.
package main

import (
	"context"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"auspex"
)

func main() {
	address := flag.String("address", "127.0.0.1:8500", "HOST:PORT or unix:PATH of the server")
	model := flag.String("model", "", "name of the model")
	version := flag.String("version", "", "version number or alias; empty: current")
	file := flag.String("csv", "", "file or directory of windows to send; empty: made-up ones")
	vms := flag.Int("vms", 100, "machines to make up, or to cut out of a directory")
	steps := flag.Int("steps", 10, "time steps of a window")
	features := flag.Int("features", 4, "features of a made-up window")
	calls := flag.Int("calls", 200, "calls to measure; 0: none")
	timeout := flag.Duration("timeout", time.Second, "deadline of each call")
	show := flag.Int("show", 10, "rows of the table to print; 0: all")
	flag.Parse()
	if *model == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "batch100: -model is missing, or an argument is left over; see -help")
		os.Exit(2)
	}
	if err := run(*address, *model, *version, *file, *vms, *steps, *features, *calls, *show, *timeout); err != nil {
		fmt.Fprintln(os.Stderr, "batch100:", err)
		os.Exit(1)
	}
}

func run(address, model, version, file string, vms, steps, features, calls, show int,
	timeout time.Duration) error {
	names, windows := makeUp(vms, steps, features)
	if file != "" {
		var err error
		if names, windows, err = open(file, vms, steps); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	batch, err := auspex.NewBatch(model, windows)
	if err != nil {
		return err
	}
	batch.Version, batch.Keys, batch.NaN = version, names, auspex.Mark
	client, err := auspex.Dial(address)
	if err != nil {
		return err
	}
	defer client.Close()
	result, err := call(client, batch, timeout+5*time.Second) // the first one connects, too
	if err != nil {
		return err
	}
	print(result, windows, show)
	return measure(client, batch, calls, timeout)
}

func call(client *auspex.Client, batch *auspex.Batch, timeout time.Duration) (*auspex.Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return client.BatchPredict(ctx, batch)
}

func print(result *auspex.Result, windows [][][]float32, show int) {
	width := 2
	for i, key := range result.Keys {
		if len(key) > width && (show == 0 || i < show) {
			width = len(key)
		}
	}
	fmt.Printf("%d machines, model %s version %s\n\n%-*s %10s  forecast\n", len(result.Status),
		result.Model, result.Version, width, "vm", "last")
	for i, status := range result.Status {
		if show > 0 && i == show {
			fmt.Printf("... and %d more\n", len(result.Status)-show)
			break
		}
		if status == auspex.RowInputNotFinite {
			fmt.Printf("%-*s %10s  none: its window holds a NaN or an infinity\n", width, result.Keys[i], "")
			continue
		}
		values := result.Row(i)
		text := []string{}
		for k, value := range values {
			if k == 6 {
				text = append(text, fmt.Sprintf("... (%d values)", len(values)))
				break
			}
			text = append(text, strconv.FormatFloat(float64(value), 'f', 4, 32))
		}
		window := windows[i]
		fmt.Printf("%-*s %10.4f  %s\n", width, result.Keys[i], window[len(window)-1][0],
			strings.Join(text, " "))
	}
}

// measure makes calls one after the other. A call that is refused with a time to come back is made
// again then; it is how a scheduler should behave.
func measure(client *auspex.Client, batch *auspex.Batch, calls int, timeout time.Duration) error {
	if calls == 0 {
		return nil
	}
	took, server := make([]time.Duration, 0, calls), make([]time.Duration, 0, calls)
	refused := 0
	for len(took) < calls {
		start := time.Now()
		result, err := call(client, batch, timeout)
		if wait, retry := auspex.RetryAfter(err); retry {
			refused++
			time.Sleep(wait)
			continue
		}
		if err != nil {
			return err
		}
		took = append(took, time.Since(start))
		server = append(server, result.Total)
	}
	fmt.Printf("\n%d calls of %d machines: p50 %v, p99 %v; on the server p50 %v, p99 %v; %d refused\n",
		calls, batch.Rows, quantile(took, 0.5), quantile(took, 0.99), quantile(server, 0.5),
		quantile(server, 0.99), refused)
	return nil
}

func quantile(times []time.Duration, q float64) time.Duration {
	sorted := append([]time.Duration{}, times...)
	sort.Slice(sorted, func(i, k int) bool { return sorted[i] < sorted[k] })
	at := int(math.Ceil(q*float64(len(sorted)))) - 1
	if at < 0 {
		at = 0
	}
	return sorted[at].Round(time.Microsecond)
}

func makeUp(vms, steps, features int) ([]string, [][][]float32) {
	random := rand.New(rand.NewSource(1))
	names, windows := make([]string, vms), make([][][]float32, vms)
	for vm := range windows {
		names[vm] = fmt.Sprintf("vm-%03d", vm)
		level, phase := 0.2+0.6*random.Float64(), random.Float64()*2*math.Pi
		windows[vm] = make([][]float32, steps)
		for step := range windows[vm] {
			windows[vm][step] = make([]float32, features)
			for feature := range windows[vm][step] {
				wave := math.Sin(phase + 2*math.Pi*float64(step)/24 + float64(feature))
				windows[vm][step][feature] = float32(level + 0.2*wave + 0.02*random.NormFloat64())
			}
		}
	}
	return names, windows
}

// open reads a CSV file, or cuts windows out of a directory's.
func open(path string, vms, steps int) ([]string, [][][]float32, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if info.IsDir() {
		return cut(path, vms, steps)
	}
	input, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer input.Close()
	return read(input, steps)
}

// read takes the last steps of each machine.
func read(input io.Reader, steps int) ([]string, [][][]float32, error) {
	names, series := []string{}, map[string][][]float32{}
	err := scan(input, func(name string, values []float32) {
		if _, known := series[name]; !known {
			names = append(names, name)
		}
		series[name] = append(series[name], values)
	})
	if err != nil {
		return nil, nil, err
	}
	windows := make([][][]float32, len(names))
	for i, name := range names {
		all := series[name]
		if len(all) < steps {
			return nil, nil, fmt.Errorf("%s has %d lines, a window takes %d", name, len(all), steps)
		}
		windows[i] = all[len(all)-steps:]
	}
	return names, windows, nil
}

// cut takes vms windows out of the files of a directory in turn, each older than the last of its
// file by half a window.
func cut(directory string, vms, steps int) ([]string, [][][]float32, error) {
	files, err := filepath.Glob(filepath.Join(directory, "*.csv"))
	if err != nil {
		return nil, nil, err
	}
	if len(files) == 0 {
		return nil, nil, errors.New("no .csv files in it")
	}
	times, series := make([][]string, len(files)), make([][][]float32, len(files))
	for i, file := range files {
		input, err := os.Open(file)
		if err != nil {
			return nil, nil, err
		}
		err = scan(input, func(time string, values []float32) {
			times[i], series[i] = append(times[i], time), append(series[i], values)
		})
		input.Close()
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
	}
	names, windows := []string{}, [][][]float32{}
	for vm := 0; vm < vms; vm++ {
		i, age := vm%len(files), vm/len(files)*((steps+1)/2)
		end := len(series[i]) - age
		if end < steps {
			return nil, nil, fmt.Errorf("%s is too short for window %d of %d steps",
				filepath.Base(files[i]), vm/len(files), steps)
		}
		name := strings.TrimSuffix(filepath.Base(files[i]), ".csv")
		names = append(names, name+" "+times[i][end-1])
		windows = append(windows, series[i][end-steps:end])
	}
	return names, windows, nil
}

// scan reads a header, then calls take for each line: the text of its first column, and the numbers
// of the others. An empty one is a gap, and NaN.
func scan(input io.Reader, take func(first string, values []float32)) error {
	lines := csv.NewReader(input)
	header, err := lines.Read()
	if err != nil {
		return err
	}
	if len(header) < 2 {
		return fmt.Errorf("the header has %d columns: a name and features are needed", len(header))
	}
	for {
		line, err := lines.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		values := make([]float32, len(line)-1)
		for i, text := range line[1:] {
			value, err := strconv.ParseFloat(text, 32)
			if text == "" {
				value, err = math.NaN(), nil
			}
			if err != nil {
				row, column := lines.FieldPos(i + 1)
				return fmt.Errorf("line %d, column %d: %q is no number", row, column, text)
			}
			values[i] = float32(value)
		}
		take(line[0], values)
	}
}
