// Written by scripts/types from supabase/migrations; a change made here is lost.

export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[];

export type Database = {
  public: {
    Tables: {
      agent_executions: {
        Row: {
          agent_type: string;
          attempt: number;
          completed_at: string | null;
          error: string | null;
          fence: number;
          id: string;
          item: Json | null;
          priority: number;
          reason: string;
          reply_of: string | null;
          reserved_model: string | null;
          reserved_provider: string | null;
          reserved_tokens: number | null;
          reserved_usd: number | null;
          stack_id: string;
          started_at: string;
          status: string;
          work_at: string | null;
          work_key: string;
          worker_id: string;
        };
        ComputedFields: never;
        Insert: {
          agent_type: string;
          attempt?: number;
          completed_at?: string | null;
          error?: string | null;
          fence: number;
          id: string;
          item?: Json | null;
          priority: number;
          reason: string;
          reply_of?: string | null;
          reserved_model?: string | null;
          reserved_provider?: string | null;
          reserved_tokens?: number | null;
          reserved_usd?: number | null;
          stack_id: string;
          started_at?: string;
          status?: string;
          work_at?: string | null;
          work_key: string;
          worker_id: string;
        };
        Update: {
          agent_type?: string;
          attempt?: number;
          completed_at?: string | null;
          error?: string | null;
          fence?: number;
          id?: string;
          item?: Json | null;
          priority?: number;
          reason?: string;
          reply_of?: string | null;
          reserved_model?: string | null;
          reserved_provider?: string | null;
          reserved_tokens?: number | null;
          reserved_usd?: number | null;
          stack_id?: string;
          started_at?: string;
          status?: string;
          work_at?: string | null;
          work_key?: string;
          worker_id?: string;
        };
        Relationships: [
          {
            foreignKeyName: "agent_executions_stack_id_fkey";
            columns: ["stack_id"];
            isOneToOne: false;
            referencedRelation: "agent_stacks";
            referencedColumns: ["id"];
          },
        ];
      };
      agent_stacks: {
        Row: {
          cadence_s: number | null;
          created_at: string;
          execution_state: string;
          id: string;
          participant_name: string;
          paused_at: string | null;
          phase: string;
          priority: number;
          started_at: string | null;
          stopped_at: string | null;
          team_type: string;
          updated_at: string;
          woken_at: string | null;
        };
        ComputedFields: never;
        Insert: {
          cadence_s?: number | null;
          created_at?: string;
          execution_state?: string;
          id?: string;
          participant_name: string;
          paused_at?: string | null;
          phase?: string;
          priority?: number;
          started_at?: string | null;
          stopped_at?: string | null;
          team_type?: string;
          updated_at?: string;
          woken_at?: string | null;
        };
        Update: {
          cadence_s?: number | null;
          created_at?: string;
          execution_state?: string;
          id?: string;
          participant_name?: string;
          paused_at?: string | null;
          phase?: string;
          priority?: number;
          started_at?: string | null;
          stopped_at?: string | null;
          team_type?: string;
          updated_at?: string;
          woken_at?: string | null;
        };
        Relationships: [];
      };
      agent_states: {
        Row: {
          agent_type: string;
          current_context: NonNullable<Json>;
          inbox: NonNullable<Json>;
          last_run_at: string | null;
          memory: NonNullable<Json>;
          stack_id: string;
          updated_at: string;
        };
        ComputedFields: never;
        Insert: {
          agent_type: string;
          current_context?: NonNullable<Json>;
          inbox?: NonNullable<Json>;
          last_run_at?: string | null;
          memory?: NonNullable<Json>;
          stack_id: string;
          updated_at?: string;
        };
        Update: {
          agent_type?: string;
          current_context?: NonNullable<Json>;
          inbox?: NonNullable<Json>;
          last_run_at?: string | null;
          memory?: NonNullable<Json>;
          stack_id?: string;
          updated_at?: string;
        };
        Relationships: [
          {
            foreignKeyName: "agent_states_stack_id_fkey";
            columns: ["stack_id"];
            isOneToOne: false;
            referencedRelation: "agent_stacks";
            referencedColumns: ["id"];
          },
        ];
      };
      agent_traces: {
        Row: {
          action: string;
          agent_type: string;
          created_at: string;
          id: number;
          result: NonNullable<Json>;
          run_id: string | null;
          simulated: boolean;
          stack_id: string;
          thought: string;
        };
        ComputedFields: never;
        Insert: {
          action: string;
          agent_type: string;
          created_at?: string;
          id?: never;
          result?: NonNullable<Json>;
          run_id?: string | null;
          simulated?: boolean;
          stack_id: string;
          thought?: string;
        };
        Update: {
          action?: string;
          agent_type?: string;
          created_at?: string;
          id?: never;
          result?: NonNullable<Json>;
          run_id?: string | null;
          simulated?: boolean;
          stack_id?: string;
          thought?: string;
        };
        Relationships: [
          {
            foreignKeyName: "agent_traces_stack_id_fkey";
            columns: ["stack_id"];
            isOneToOne: false;
            referencedRelation: "agent_stacks";
            referencedColumns: ["id"];
          },
        ];
      };
      artifact_bodies: {
        Row: {
          artifact_id: string;
          content: string;
          diff: string | null;
        };
        ComputedFields: never;
        Insert: {
          artifact_id: string;
          content: string;
          diff?: string | null;
        };
        Update: {
          artifact_id?: string;
          content?: string;
          diff?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: "artifact_bodies_artifact_id_fkey";
            columns: ["artifact_id"];
            isOneToOne: true;
            referencedRelation: "artifacts";
            referencedColumns: ["id"];
          },
        ];
      };
      artifacts: {
        Row: {
          created_at: string;
          created_by: string;
          id: string;
          metadata: NonNullable<Json>;
          restores: number | null;
          run_id: string | null;
          simulated: boolean;
          size_bytes: number;
          stack_id: string;
          todo_id: string | null;
          type: string;
          url: string | null;
          version: number;
        };
        ComputedFields: never;
        Insert: {
          created_at?: string;
          created_by?: string;
          id?: string;
          metadata?: NonNullable<Json>;
          restores?: number | null;
          run_id?: string | null;
          simulated?: boolean;
          size_bytes?: number;
          stack_id: string;
          todo_id?: string | null;
          type?: string;
          url?: string | null;
          version: number;
        };
        Update: {
          created_at?: string;
          created_by?: string;
          id?: string;
          metadata?: NonNullable<Json>;
          restores?: number | null;
          run_id?: string | null;
          simulated?: boolean;
          size_bytes?: number;
          stack_id?: string;
          todo_id?: string | null;
          type?: string;
          url?: string | null;
          version?: number;
        };
        Relationships: [
          {
            foreignKeyName: "artifacts_stack_id_fkey";
            columns: ["stack_id"];
            isOneToOne: false;
            referencedRelation: "agent_stacks";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "artifacts_todo_id_fkey";
            columns: ["todo_id"];
            isOneToOne: false;
            referencedRelation: "todos";
            referencedColumns: ["id"];
          },
        ];
      };
      budgets: {
        Row: {
          agent_type: string | null;
          created_at: string;
          id: string;
          per: string;
          stack_id: string | null;
          tokens: number | null;
          usd: number | null;
        };
        ComputedFields: never;
        Insert: {
          agent_type?: string | null;
          created_at?: string;
          id?: string;
          per: string;
          stack_id?: string | null;
          tokens?: number | null;
          usd?: number | null;
        };
        Update: {
          agent_type?: string | null;
          created_at?: string;
          id?: string;
          per?: string;
          stack_id?: string | null;
          tokens?: number | null;
          usd?: number | null;
        };
        Relationships: [
          {
            foreignKeyName: "budgets_stack_id_fkey";
            columns: ["stack_id"];
            isOneToOne: false;
            referencedRelation: "agent_stacks";
            referencedColumns: ["id"];
          },
        ];
      };
      llm_calls: {
        Row: {
          agent_type: string;
          ask_hash: string | null;
          attempt: number;
          cost_usd: number;
          created_at: string;
          error: string | null;
          finish_reason: string | null;
          id: string;
          latency_ms: number;
          model: string;
          provider: string;
          reply: string | null;
          run_id: string;
          simulated: boolean;
          stack_id: string;
          tokens_cached: number;
          tokens_in: number;
          tokens_out: number;
        };
        ComputedFields: never;
        Insert: {
          agent_type: string;
          ask_hash?: string | null;
          attempt: number;
          cost_usd?: number;
          created_at?: string;
          error?: string | null;
          finish_reason?: string | null;
          id: string;
          latency_ms?: number;
          model: string;
          provider: string;
          reply?: string | null;
          run_id: string;
          simulated?: boolean;
          stack_id: string;
          tokens_cached?: number;
          tokens_in?: number;
          tokens_out?: number;
        };
        Update: {
          agent_type?: string;
          ask_hash?: string | null;
          attempt?: number;
          cost_usd?: number;
          created_at?: string;
          error?: string | null;
          finish_reason?: string | null;
          id?: string;
          latency_ms?: number;
          model?: string;
          provider?: string;
          reply?: string | null;
          run_id?: string;
          simulated?: boolean;
          stack_id?: string;
          tokens_cached?: number;
          tokens_in?: number;
          tokens_out?: number;
        };
        Relationships: [];
      };
      memories: {
        Row: {
          agent_type: string;
          content: string;
          created_at: string;
          expires_at: string | null;
          id: string;
          importance: number;
          kind: string;
          run_id: string | null;
          stack_id: string;
          updated_at: string;
          words: unknown;
        };
        ComputedFields: never;
        Insert: {
          agent_type: string;
          content: string;
          created_at?: string;
          expires_at?: string | null;
          id?: string;
          importance?: number;
          kind?: string;
          run_id?: string | null;
          stack_id: string;
          updated_at?: string;
          words?: never;
        };
        Update: {
          agent_type?: string;
          content?: string;
          created_at?: string;
          expires_at?: string | null;
          id?: string;
          importance?: number;
          kind?: string;
          run_id?: string | null;
          stack_id?: string;
          updated_at?: string;
          words?: never;
        };
        Relationships: [
          {
            foreignKeyName: "memories_stack_id_fkey";
            columns: ["stack_id"];
            isOneToOne: false;
            referencedRelation: "agent_stacks";
            referencedColumns: ["id"];
          },
        ];
      };
      message_reads: {
        Row: {
          attempts: number;
          available_at: string | null;
          last_error: string | null;
          message_id: string;
          read_at: string | null;
          run_id: string | null;
          stack_id: string;
          status: string;
        };
        ComputedFields: never;
        Insert: {
          attempts?: number;
          available_at?: string | null;
          last_error?: string | null;
          message_id: string;
          read_at?: string | null;
          run_id?: string | null;
          stack_id: string;
          status: string;
        };
        Update: {
          attempts?: number;
          available_at?: string | null;
          last_error?: string | null;
          message_id?: string;
          read_at?: string | null;
          run_id?: string | null;
          stack_id?: string;
          status?: string;
        };
        Relationships: [
          {
            foreignKeyName: "message_reads_message_id_fkey";
            columns: ["message_id"];
            isOneToOne: false;
            referencedRelation: "messages";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "message_reads_stack_id_fkey";
            columns: ["stack_id"];
            isOneToOne: false;
            referencedRelation: "agent_stacks";
            referencedColumns: ["id"];
          },
        ];
      };
      messages: {
        Row: {
          content: string;
          created_at: string;
          from_agent_type: string | null;
          from_stack_id: string | null;
          from_user_name: string | null;
          hop: number;
          id: string;
          message_type: string;
          run_id: string | null;
          simulated: boolean;
          to_stack_id: string | null;
        };
        ComputedFields: never;
        Insert: {
          content: string;
          created_at?: string;
          from_agent_type?: string | null;
          from_stack_id?: string | null;
          from_user_name?: string | null;
          hop?: number;
          id?: string;
          message_type: string;
          run_id?: string | null;
          simulated?: boolean;
          to_stack_id?: string | null;
        };
        Update: {
          content?: string;
          created_at?: string;
          from_agent_type?: string | null;
          from_stack_id?: string | null;
          from_user_name?: string | null;
          hop?: number;
          id?: string;
          message_type?: string;
          run_id?: string | null;
          simulated?: boolean;
          to_stack_id?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: "messages_from_stack_id_fkey";
            columns: ["from_stack_id"];
            isOneToOne: false;
            referencedRelation: "agent_stacks";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "messages_to_stack_id_fkey";
            columns: ["to_stack_id"];
            isOneToOne: false;
            referencedRelation: "agent_stacks";
            referencedColumns: ["id"];
          },
        ];
      };
      model_breakers: {
        Row: {
          closed_at: string | null;
          error: string | null;
          failures: number;
          model: string;
          open_until: string;
          opened_at: string;
          provider: string;
          state: string;
          worker_id: string;
        };
        ComputedFields: never;
        Insert: {
          closed_at?: string | null;
          error?: string | null;
          failures?: number;
          model: string;
          open_until: string;
          opened_at: string;
          provider: string;
          state: string;
          worker_id: string;
        };
        Update: {
          closed_at?: string | null;
          error?: string | null;
          failures?: number;
          model?: string;
          open_until?: string;
          opened_at?: string;
          provider?: string;
          state?: string;
          worker_id?: string;
        };
        Relationships: [
          {
            foreignKeyName: "model_breakers_worker_id_fkey";
            columns: ["worker_id"];
            isOneToOne: false;
            referencedRelation: "workers";
            referencedColumns: ["id"];
          },
        ];
      };
      model_limits: {
        Row: {
          model: string;
          provider: string;
          requests_per_day: number | null;
          requests_per_minute: number | null;
          tokens_per_day: number | null;
          tokens_per_minute: number | null;
        };
        ComputedFields: never;
        Insert: {
          model: string;
          provider: string;
          requests_per_day?: number | null;
          requests_per_minute?: number | null;
          tokens_per_day?: number | null;
          tokens_per_minute?: number | null;
        };
        Update: {
          model?: string;
          provider?: string;
          requests_per_day?: number | null;
          requests_per_minute?: number | null;
          tokens_per_day?: number | null;
          tokens_per_minute?: number | null;
        };
        Relationships: [];
      };
      project_ideas: {
        Row: {
          created_at: string;
          created_by: string;
          description: string;
          id: string;
          stack_id: string;
          status: string;
          title: string;
          updated_at: string;
        };
        ComputedFields: never;
        Insert: {
          created_at?: string;
          created_by?: string;
          description?: string;
          id?: string;
          stack_id: string;
          status?: string;
          title: string;
          updated_at?: string;
        };
        Update: {
          created_at?: string;
          created_by?: string;
          description?: string;
          id?: string;
          stack_id?: string;
          status?: string;
          title?: string;
          updated_at?: string;
        };
        Relationships: [
          {
            foreignKeyName: "project_ideas_stack_id_fkey";
            columns: ["stack_id"];
            isOneToOne: true;
            referencedRelation: "agent_stacks";
            referencedColumns: ["id"];
          },
        ];
      };
      stack_agents: {
        Row: {
          agent_type: string;
          plays: boolean;
          stack_id: string;
          updated_at: string;
        };
        ComputedFields: never;
        Insert: {
          agent_type: string;
          plays?: boolean;
          stack_id: string;
          updated_at?: string;
        };
        Update: {
          agent_type?: string;
          plays?: boolean;
          stack_id?: string;
          updated_at?: string;
        };
        Relationships: [
          {
            foreignKeyName: "stack_agents_stack_id_fkey";
            columns: ["stack_id"];
            isOneToOne: false;
            referencedRelation: "agent_stacks";
            referencedColumns: ["id"];
          },
        ];
      };
      stack_schedule: {
        Row: {
          by_hand: boolean;
          claim: number | null;
          claimed_at: string | null;
          due_at: string | null;
          fence: number;
          last_executed_at: string | null;
          lease_expires_at: string | null;
          lease_owner: string | null;
          overruns: number;
          stack_id: string;
          total_cycles: number;
          wakes: number;
        };
        ComputedFields: never;
        Insert: {
          by_hand?: boolean;
          claim?: number | null;
          claimed_at?: string | null;
          due_at?: string | null;
          fence?: number;
          last_executed_at?: string | null;
          lease_expires_at?: string | null;
          lease_owner?: string | null;
          overruns?: number;
          stack_id: string;
          total_cycles?: number;
          wakes?: number;
        };
        Update: {
          by_hand?: boolean;
          claim?: number | null;
          claimed_at?: string | null;
          due_at?: string | null;
          fence?: number;
          last_executed_at?: string | null;
          lease_expires_at?: string | null;
          lease_owner?: string | null;
          overruns?: number;
          stack_id?: string;
          total_cycles?: number;
          wakes?: number;
        };
        Relationships: [
          {
            foreignKeyName: "stack_schedule_stack_id_fkey";
            columns: ["stack_id"];
            isOneToOne: true;
            referencedRelation: "agent_stacks";
            referencedColumns: ["id"];
          },
        ];
      };
      stack_status: {
        Row: {
          activity: NonNullable<Json>;
          stack_id: string;
          updated_at: string;
          wait_kind: string | null;
          wait_reason: string | null;
          wait_until: string | null;
        };
        ComputedFields: never;
        Insert: {
          activity?: NonNullable<Json>;
          stack_id: string;
          updated_at?: string;
          wait_kind?: never;
          wait_reason?: string | null;
          wait_until?: string | null;
        };
        Update: {
          activity?: NonNullable<Json>;
          stack_id?: string;
          updated_at?: string;
          wait_kind?: never;
          wait_reason?: string | null;
          wait_until?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: "stack_status_stack_id_fkey";
            columns: ["stack_id"];
            isOneToOne: true;
            referencedRelation: "agent_stacks";
            referencedColumns: ["id"];
          },
        ];
      };
      todos: {
        Row: {
          assigned_by: string;
          assigned_to: string;
          attempts: number;
          available_at: string | null;
          completed_at: string | null;
          content: string;
          created_at: string;
          id: string;
          last_error: string | null;
          priority: number;
          run_id: string | null;
          stack_id: string;
          status: string;
          updated_at: string;
        };
        ComputedFields: never;
        Insert: {
          assigned_by?: string;
          assigned_to?: string;
          attempts?: number;
          available_at?: string | null;
          completed_at?: string | null;
          content: string;
          created_at?: string;
          id?: string;
          last_error?: string | null;
          priority?: number;
          run_id?: string | null;
          stack_id: string;
          status?: string;
          updated_at?: string;
        };
        Update: {
          assigned_by?: string;
          assigned_to?: string;
          attempts?: number;
          available_at?: string | null;
          completed_at?: string | null;
          content?: string;
          created_at?: string;
          id?: string;
          last_error?: string | null;
          priority?: number;
          run_id?: string | null;
          stack_id?: string;
          status?: string;
          updated_at?: string;
        };
        Relationships: [
          {
            foreignKeyName: "todos_stack_id_fkey";
            columns: ["stack_id"];
            isOneToOne: false;
            referencedRelation: "agent_stacks";
            referencedColumns: ["id"];
          },
        ];
      };
      user_messages: {
        Row: {
          answered_at: string | null;
          attempts: number;
          available_at: string | null;
          content: string;
          created_at: string;
          id: string;
          last_error: string | null;
          response_id: string | null;
          run_id: string | null;
          sender_name: string;
          stack_id: string;
          status: string;
        };
        ComputedFields: never;
        Insert: {
          answered_at?: string | null;
          attempts?: number;
          available_at?: string | null;
          content: string;
          created_at?: string;
          id?: string;
          last_error?: string | null;
          response_id?: string | null;
          run_id?: string | null;
          sender_name?: string;
          stack_id: string;
          status?: string;
        };
        Update: {
          answered_at?: string | null;
          attempts?: number;
          available_at?: string | null;
          content?: string;
          created_at?: string;
          id?: string;
          last_error?: string | null;
          response_id?: string | null;
          run_id?: string | null;
          sender_name?: string;
          stack_id?: string;
          status?: string;
        };
        Relationships: [
          {
            foreignKeyName: "user_messages_response_id_fkey";
            columns: ["response_id"];
            isOneToOne: false;
            referencedRelation: "messages";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "user_messages_stack_id_fkey";
            columns: ["stack_id"];
            isOneToOne: false;
            referencedRelation: "agent_stacks";
            referencedColumns: ["id"];
          },
        ];
      };
      workers: {
        Row: {
          heartbeat_at: string;
          id: string;
          name: string;
          slots: number;
          started_at: string;
          stopped_at: string | null;
          version: string;
        };
        ComputedFields: never;
        Insert: {
          heartbeat_at?: string;
          id: string;
          name: string;
          slots: number;
          started_at?: string;
          stopped_at?: string | null;
          version: string;
        };
        Update: {
          heartbeat_at?: string;
          id?: string;
          name?: string;
          slots?: number;
          started_at?: string;
          stopped_at?: string | null;
          version?: string;
        };
        Relationships: [];
      };
    };
    Views: {
      budgets_now: {
        Row: {
          agent_type: string | null;
          id: string;
          per: string;
          stack_id: string | null;
          tokens: number | null;
          usd: number | null;
          used_tokens: number | null;
          used_usd: number | null;
        };
        ComputedFields: never;
        Relationships: [
          {
            foreignKeyName: "budgets_stack_id_fkey";
            columns: ["stack_id"];
            isOneToOne: false;
            referencedRelation: "agent_stacks";
            referencedColumns: ["id"];
          },
        ];
      };
      spending: {
        Row: {
          agent_type: string;
          calls: number | null;
          cost_usd: number | null;
          failed: number | null;
          hour: string | null;
          model: string;
          provider: string;
          simulated: boolean;
          stack_id: string;
          tokens_cached: number | null;
          tokens_in: number | null;
          tokens_out: number | null;
        };
        ComputedFields: never;
        Relationships: [];
      };
      spending_today: {
        Row: {
          calls: number | null;
          cost_usd: number | null;
          failed: number | null;
          stack_id: string;
          tokens_cached: number | null;
          tokens_in: number | null;
          tokens_out: number | null;
        };
        ComputedFields: never;
        Relationships: [];
      };
    };
    Functions: {
      begin_runs: { Args: { request: Json }; Returns: Json };
      blink: { Args: { request: Json }; Returns: Json };
      claim_due_stacks: { Args: { request: Json }; Returns: Json };
      commit_runs: { Args: { request: Json }; Returns: Json };
      figures: { Args: { request?: Json }; Returns: Json };
      heartbeat: { Args: { request: Json }; Returns: Json };
      inspect: { Args: { request?: Json }; Returns: Json };
      prune: { Args: { request: Json }; Returns: Json };
      recall: { Args: { request: Json }; Returns: Json };
      report_breakers: { Args: { request: Json }; Returns: Json };
      verbs_version: { Args: { request?: Json }; Returns: Json };
    };
    Enums: {
      [_ in never]: never;
    };
    CompositeTypes: {
      [_ in never]: never;
    };
  };
};

type DatabaseWithoutInternals = Omit<Database, "__InternalSupabase">;

type DefaultSchema = DatabaseWithoutInternals[Extract<keyof Database, "public">];

export type Tables<
  DefaultSchemaTableNameOrOptions extends
    | keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends (DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"] &
        DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"])
    : never) = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"] &
      DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"])[TableName] extends {
      Row: infer R;
    }
    ? R
    : never
  : DefaultSchemaTableNameOrOptions extends keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
    ? (DefaultSchema["Tables"] & DefaultSchema["Views"])[DefaultSchemaTableNameOrOptions] extends {
        Row: infer R;
      }
      ? R
      : never
    : never;

export type TablesInsert<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends (DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never) = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
      Insert: infer I;
    }
    ? I
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
    ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
        Insert: infer I;
      }
      ? I
      : never
    : never;

export type TablesUpdate<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends (DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never) = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
      Update: infer U;
    }
    ? U
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
    ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
        Update: infer U;
      }
      ? U
      : never
    : never;

export type Enums<
  DefaultSchemaEnumNameOrOptions extends
    | keyof DefaultSchema["Enums"]
    | { schema: keyof DatabaseWithoutInternals },
  EnumName extends (DefaultSchemaEnumNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"]
    : never) = never,
> = DefaultSchemaEnumNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"][EnumName]
  : DefaultSchemaEnumNameOrOptions extends keyof DefaultSchema["Enums"]
    ? DefaultSchema["Enums"][DefaultSchemaEnumNameOrOptions]
    : never;

export type CompositeTypes<
  PublicCompositeTypeNameOrOptions extends
    | keyof DefaultSchema["CompositeTypes"]
    | { schema: keyof DatabaseWithoutInternals },
  CompositeTypeName extends (PublicCompositeTypeNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"]
    : never) = never,
> = PublicCompositeTypeNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"][CompositeTypeName]
  : PublicCompositeTypeNameOrOptions extends keyof DefaultSchema["CompositeTypes"]
    ? DefaultSchema["CompositeTypes"][PublicCompositeTypeNameOrOptions]
    : never;

export const Constants = {
  public: {
    Enums: {},
  },
} as const;
