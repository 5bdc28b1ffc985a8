// SPDX-License-Identifier: Apache-2.0

package auspex

import (
	"context"
	"fmt"
	"log"
	"math"
	"net"
	"os"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"auspex/auspexv1"
)

// standIn answers in place of a server: each row's answer is its first and its last value.
type standIn struct {
	auspexv1.UnimplementedInferenceServer
	seen *auspexv1.BatchPredictRequest
	err  error
	mend func(*auspexv1.BatchPredictReply)
}

func (s *standIn) BatchPredict(ctx context.Context, r *auspexv1.BatchPredictRequest) (
	*auspexv1.BatchPredictReply, error) {
	s.seen = r
	if s.err != nil {
		grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", "25"))
		return nil, s.err
	}
	in, out := unpack(r.Values), []float32{}
	width := len(in) / int(r.Rows)
	for row := 0; row < int(r.Rows); row++ {
		out = append(out, in[row*width], in[(row+1)*width-1])
	}
	reply := &auspexv1.BatchPredictReply{Model: r.Model, Version: "7", Rows: r.Rows, Outputs: 2,
		Values: pack(out), Status: make([]byte, r.Rows), Keys: r.Keys,
		QueueUs: 5, ComputeUs: 6, TotalUs: 12}
	reply.Status[0] = byte(RowOutputNotFinite)
	if s.mend != nil {
		s.mend(reply)
	}
	return reply, nil
}

func connect(t *testing.T, s *standIn) *Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	auspexv1.RegisterInferenceServer(server, s)
	go server.Serve(listener)
	client, err := Dial(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Stop() })
	return client
}

func windows() [][][]float32 {
	return [][][]float32{
		{{1, 2}, {3, 4}, {5, 6}},
		{{7, 8}, {9, float32(math.Inf(1))}, {11, -12.5}},
	}
}

func TestRowsComeBackInTheirPlaces(t *testing.T) {
	s := &standIn{}
	client := connect(t, s)
	batch, err := NewBatch("cpu", windows())
	if err != nil {
		t.Fatal(err)
	}
	batch.Keys, batch.Lengths, batch.NaN = []string{"a", "b"}, []uint32{3, 2}, Mark
	batch.Version, batch.Output = "canary", "y"
	result, err := client.BatchPredict(context.Background(), batch)
	if err != nil {
		t.Fatal(err)
	}
	if row := result.Row(1); row[0] != 7 || row[1] != -12.5 {
		t.Errorf("row 1 is %v", row)
	}
	if result.Status[0] != RowOutputNotFinite || result.Status[1] != RowOK {
		t.Errorf("status is %v", result.Status)
	}
	if result.Version != "7" || result.Keys[1] != "b" || result.Total != 12*time.Microsecond {
		t.Errorf("result is %+v", result)
	}
	r := s.seen
	if r.Rows != 2 || r.Steps != 3 || r.Features != 2 || r.Version != "canary" || r.Output != "y" ||
		r.NanPolicy != Mark || r.Lengths[1] != 2 || len(r.Values) != 48 {
		t.Errorf("the server saw %v", r)
	}
}

func TestTablesHaveOneStep(t *testing.T) {
	batch, err := NewTable("cpu", [][]float32{{1, 2, 3}, {4, 5, 6}})
	if err != nil {
		t.Fatal(err)
	}
	if batch.Rows != 2 || batch.Steps != 1 || batch.Features != 3 || batch.Values[4] != 5 {
		t.Errorf("batch is %+v", batch)
	}
}

func TestFloat64GoesBothWays(t *testing.T) {
	s := &standIn{}
	s.mend = func(r *auspexv1.BatchPredictReply) { // the stand-in read halves of float64
		r.Outputs, r.ValueType = 1, Float64
		r.Values = s.seen.Values[:8*r.Rows]
	}
	client := connect(t, s)
	batch, err := NewTable64("risk", [][]float64{{1.0 / 3, math.NaN()}, {1e300, 2}})
	if err != nil {
		t.Fatal(err)
	}
	result, err := client.BatchPredict(context.Background(), batch)
	if err != nil {
		t.Fatal(err)
	}
	if s.seen.ValueType != Float64 || s.seen.OutputType != Float64 || len(s.seen.Values) != 32 {
		t.Errorf("the server saw %v", s.seen)
	}
	if result.Values != nil || result.Row64(0)[0] != 1.0/3 || !math.IsNaN(result.Row64(1)[0]) {
		t.Errorf("result is %+v", result)
	}
	batch.Values64 = batch.Values64[1:]
	if _, err = client.BatchPredict(context.Background(), batch); status.Code(err) != codes.InvalidArgument {
		t.Errorf("error is %v", err)
	}
	s.mend = func(r *auspexv1.BatchPredictReply) { r.ValueType = 9 }
	batch, _ = NewTable("cpu", [][]float32{{1, 2}})
	if _, err = client.BatchPredict(context.Background(), batch); status.Code(err) != codes.Internal {
		t.Errorf("error is %v", err)
	}
	if s.seen.ValueType != auspexv1.ValueType_VALUE_TYPE_UNSPECIFIED {
		t.Errorf("float32 was announced as %v", s.seen.ValueType)
	}
	for _, uneven := range [][][]float64{nil, {{1, 2}, {3}}} {
		if _, err := NewTable64("risk", uneven); err == nil {
			t.Errorf("%v was taken", uneven)
		}
	}
}

// Scores of a model of trees: NaN is a missing value.
func ExampleNewTable64() {
	client, err := Dial("127.0.0.1:8500")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	batch, err := NewTable64("default_risk", [][]float64{{20000, 24, math.NaN()}, {120000, 26, 2682.5}})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	result, err := client.BatchPredict(ctx, batch)
	if err != nil {
		log.Fatal(err)
	}
	for row := range result.Status {
		fmt.Println(result.Row64(row)[0])
	}
}

func TestUnevenWindowsAreRefused(t *testing.T) {
	for _, uneven := range [][][][]float32{
		nil, {{}}, {{{1, 2}}, {{1, 2}, {3, 4}}}, {{{1, 2}}, {{1}}},
	} {
		if _, err := NewBatch("cpu", uneven); err == nil {
			t.Errorf("%v was taken", uneven)
		}
	}
	client := connect(t, &standIn{})
	_, err := client.BatchPredict(context.Background(),
		&Batch{Model: "cpu", Rows: 2, Steps: 2, Features: 2, Values: make([]float32, 7)})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("error is %v", err)
	}
}

func TestErrorsCarryFieldAndRetry(t *testing.T) {
	client := connect(t, &standIn{err: status.Error(codes.InvalidArgument, "steps: takes 10")})
	batch, _ := NewBatch("cpu", windows())
	_, err := client.BatchPredict(context.Background(), batch)
	e, is := err.(*Error)
	if !is || e.Code != codes.InvalidArgument || e.Field != "steps" {
		t.Fatalf("error is %#v", err)
	}
	if wait, retry := RetryAfter(err); !retry || wait != 25*time.Millisecond {
		t.Errorf("retry %v after %v", retry, wait)
	}
	if _, retry := RetryAfter(context.Canceled); retry {
		t.Error("a foreign error must not be retried")
	}
}

func TestRepliesThatDoNotFitAreErrors(t *testing.T) {
	for name, mend := range map[string]func(*auspexv1.BatchPredictReply){
		"rows":   func(r *auspexv1.BatchPredictReply) { r.Rows++ },
		"status": func(r *auspexv1.BatchPredictReply) { r.Status = nil },
		"values": func(r *auspexv1.BatchPredictReply) { r.Values = r.Values[1:] },
	} {
		client := connect(t, &standIn{mend: mend})
		batch, _ := NewBatch("cpu", windows())
		if _, err := client.BatchPredict(context.Background(), batch); status.Code(err) != codes.Internal {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

// Against a real server, where one is named: AUSPEX_TARGET, and AUSPEX_MODEL, which takes windows of
// 10 steps and 4 features.
func TestAgainstAServer(t *testing.T) {
	target, model := os.Getenv("AUSPEX_TARGET"), os.Getenv("AUSPEX_MODEL")
	if target == "" {
		t.Skip("AUSPEX_TARGET is not set")
	}
	client, err := Dial(target)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if serving, err := client.Serving(ctx, model); err != nil || !serving {
		t.Fatalf("serving %v, error %v", serving, err)
	}
	if _, err := client.Serving(ctx, "no-such-model"); status.Code(err) != codes.NotFound {
		t.Errorf("error is %v", err)
	}
	batch := &Batch{Model: model, Rows: 100, Steps: 10, Features: 4, Values: make([]float32, 4000)}
	for i := range batch.Values {
		batch.Values[i] = float32(i%17) / 17
	}
	all, err := client.BatchPredict(ctx, batch)
	if err != nil {
		t.Fatal(err)
	}
	one, err := client.BatchPredict(ctx, &Batch{Model: model, Rows: 1, Steps: 10, Features: 4,
		Values: batch.Values[99*40:]})
	if err != nil {
		t.Fatal(err)
	}
	for i, value := range one.Row(0) {
		if math.Float32bits(value) != math.Float32bits(all.Row(99)[i]) {
			t.Errorf("alone %v, in the batch %v", value, all.Row(99)[i])
		}
	}
	batch.Values[50] = float32(math.NaN())
	_, err = client.BatchPredict(ctx, batch)
	if e, is := err.(*Error); !is || e.Field != "values" || e.Code != codes.InvalidArgument {
		t.Errorf("error is %v", err)
	}
	batch.NaN = Mark
	marked, err := client.BatchPredict(ctx, batch)
	if err != nil || marked.Status[1] != RowInputNotFinite || marked.Status[2] != RowOK {
		t.Errorf("error %v", err)
	}
	batch.Features, batch.Values = 5, make([]float32, 5000)
	_, err = client.BatchPredict(ctx, batch)
	if e, is := err.(*Error); !is || e.Field != "features" {
		t.Errorf("error is %v", err)
	}
}
